//! Chance that can be asked for again: a pure function of a seed and a place.

/// Draws numbers from a seed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Noise(u64);

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// An even number of bits at a place.
    pub(super) fn bits(self, place: [i64; 3]) -> u64 {
        place.into_iter().fold(mix(self.0), |state, part| mix(state ^ part.cast_unsigned()))
    }

    /// A number from 0 to below `end`, which is at least 1.
    pub(super) fn below(self, end: i64, place: [i64; 3]) -> i64 {
        (self.bits(place) >> 1).cast_signed() % end.max(1)
    }

    /// A number from 0 to below 1.
    #[expect(clippy::cast_precision_loss, reason = "the number has 53 bits")]
    pub(super) fn unit(self, place: [i64; 3]) -> f64 {
        (self.bits(place) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The finaliser of `SplitMix64` (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
fn mix(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_spread_evenly_and_repeat() {
        let noise = Noise::new(7);
        let units: Vec<f64> = (0..10_000).map(|i| noise.unit([1, i, 0])).collect();
        let below: Vec<i64> = (0..10_000).map(|i| noise.below(10, [2, i, 0])).collect();
        let mean = units.iter().sum::<f64>() / 10_000.0;
        assert!((0.48..0.52).contains(&mean), "{mean}");
        for digit in 0..10 {
            assert!((850..1150).contains(&below.iter().filter(|b| **b == digit).count()));
        }
        assert_eq!(noise.bits([1, 2, 3]), Noise::new(7).bits([1, 2, 3]));
        assert_ne!(noise.bits([1, 2, 3]), Noise::new(8).bits([1, 2, 3]));
    }
}
