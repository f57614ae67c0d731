//! Which encoding an answer's body gets, by the request's `Accept-Encoding` (RFC 9110 section 12.5.3), and the encoding itself.

use std::io::{self, Write};

use axum::body::Bytes;
use axum::http::{HeaderMap, header};
use flate2::write::GzEncoder;

use super::quality::weighted;
use crate::answers::ENCODINGS;
use crate::computing::Computing;

/// Shorter bodies go out as they are: one packet holds them either way.
const WORTH_ENCODING: usize = 1024;

/// Bodies of so many bytes and more are gone through by the threads for what takes long.
pub(in crate::http) const LONG: usize = 64 * 1024;

/// How much is encoded between two looks at whether anybody waits for it: some milliseconds at most.
const PIECE: usize = 64 * 1024;

/// A way to make a body shorter. Those named first are preferred among those that the caller likes alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::http) enum Encoding {
    /// RFC 8878. Here at level 3.
    Zstd,
    /// RFC 7932. Here at quality 4: higher ones cost much more time than they save in bytes.
    Brotli,
    /// RFC 1952. Here at level 5.
    Gzip,
}

impl Encoding {
    const ALL: [Self; ENCODINGS] = [Self::Zstd, Self::Brotli, Self::Gzip];

    /// What `Content-Encoding` calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Brotli => "br",
            Self::Gzip => "gzip",
        }
    }

    /// The encoding for a body of so many bytes, if one is worth it and the caller accepts it.
    pub fn negotiate(headers: &HeaderMap, length: usize) -> Option<Self> {
        if length < WORTH_ENCODING {
            return None;
        }
        let accepted: Vec<_> = headers.get_all(header::ACCEPT_ENCODING).iter().flat_map(weighted).collect();
        let quality = |name: &str| accepted.iter().find(|coding| coding.value == name).map(|coding| coding.quality);
        let of = |encoding: Self| {
            let alias = (encoding == Self::Gzip).then(|| quality("x-gzip")).flatten();
            quality(encoding.name()).or(alias).or_else(|| quality("*")).unwrap_or(0)
        };
        // Bare, unless the caller says how much it likes that, is liked less than whatever is named.
        let bare = quality("identity").unwrap_or(0);
        let best = Self::ALL.into_iter().rev().max_by_key(|encoding| of(*encoding))?;
        (of(best) > 0 && of(best) >= bare).then_some(best)
    }

    /// The encoded body.
    ///
    /// # Errors
    /// When memory runs out, or the process ends; the encoders have no other failure.
    pub async fn encode(self, body: Bytes, computing: &Computing) -> io::Result<Bytes> {
        if body.len() < LONG {
            return self.encode_piecewise(&body, async || {}).await;
        }
        let encoding = async move { self.encode_piecewise(&body, tokio::task::yield_now).await };
        computing.run(encoding).await.unwrap_or_else(|| Err(io::Error::other("the process ends")))
    }

    async fn encode_piecewise(self, body: &[u8], pause: impl AsyncFn()) -> io::Result<Bytes> {
        let room = Vec::with_capacity(body.len() / 8);
        let encoded = match self {
            Self::Zstd => {
                let mut encoder = zstd::stream::write::Encoder::new(room, 3)?;
                encoder.set_pledged_src_size(u64::try_from(body.len()).ok())?;
                write(&mut encoder, body, pause).await?;
                encoder.finish()?
            }
            Self::Brotli => {
                let params = brotli::enc::BrotliEncoderParams { quality: 4, size_hint: body.len(), ..Default::default() };
                let mut encoder = brotli::CompressorWriter::with_params(room, 4096, &params);
                write(&mut encoder, body, pause).await?;
                encoder.into_inner()
            }
            Self::Gzip => {
                let mut encoder = GzEncoder::new(room, flate2::Compression::new(5));
                write(&mut encoder, body, pause).await?;
                encoder.finish()?
            }
        };
        // Without the room that an encoder was given in excess: what is kept takes what it is long.
        Ok(encoded.into_boxed_slice().into())
    }
}

/// Writes a body piece by piece.
async fn write(encoder: &mut impl Write, body: &[u8], pause: impl AsyncFn()) -> io::Result<()> {
    for piece in body.chunks(PIECE) {
        encoder.write_all(piece)?;
        pause().await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::pending;
    use std::io::Read as _;

    use futures_util::FutureExt as _;
    use proptest::prelude::*;

    use super::Encoding::{self, Brotli, Gzip, Zstd};
    use super::*;

    #[test]
    fn the_encoding_follows_the_accept_encoding_header() {
        let cases: &[(&[&str], Option<Encoding>)] = &[
            (&[], None),
            (&[""], None),
            (&["identity"], None),
            (&["gzip"], Some(Gzip)),
            (&["x-gzip"], Some(Gzip)),
            (&["GZIP"], Some(Gzip)),
            (&["gzip, deflate, br, zstd"], Some(Zstd)),
            (&["gzip, deflate", "br"], Some(Brotli)),
            (&["*"], Some(Zstd)),
            (&["zstd;q=0, *"], Some(Brotli)),
            (&["br;q=0.5, gzip;q=0.8"], Some(Gzip)),
            (&["gzip;q=0.5, identity"], None),
            (&["gzip;q=0.5, identity;q=0.5"], Some(Gzip)),
            (&["gzip;q=0"], None),
            (&["gzip;q=much"], None),
            (&["deflate"], None),
        ];
        for (accepted, expected) in cases {
            let mut headers = HeaderMap::new();
            for value in *accepted {
                headers.append(header::ACCEPT_ENCODING, value.parse().unwrap());
            }
            assert_eq!(Encoding::negotiate(&headers, 1024), *expected, "{accepted:?}");
            assert_eq!(Encoding::negotiate(&headers, 1023), None, "{accepted:?}");
        }
    }

    /// What a body becomes without a pause.
    fn encode(encoding: Encoding, body: &[u8]) -> Bytes {
        encoding.encode_piecewise(body, async || {}).now_or_never().unwrap().unwrap()
    }

    #[tokio::test]
    async fn what_is_long_is_encoded_in_pieces_and_no_further_than_somebody_waits_for_it() {
        let body: Bytes = (0..16 * PIECE).map(|place| u8::try_from(place * place % 251).unwrap()).collect::<Vec<_>>().into();
        for encoding in Encoding::ALL {
            let pieces = Cell::new(0);
            let count = async || pieces.set(pieces.get() + 1);
            let whole = encoding.encode_piecewise(&body, count).await.unwrap();
            assert_eq!((pieces.get(), decode(encoding, &whole)), (16, body.to_vec()));
            let stopping = async || {
                pieces.set(pieces.get() + 1);
                if pieces.get() == 20 {
                    pending::<()>().await;
                }
            };
            let given_up = encoding.encode_piecewise(&body, stopping);
            assert!(given_up.now_or_never().is_none() && pieces.get() == 20);
            let elsewhere = encoding.encode(body.clone(), &Computing::start().unwrap()).await.unwrap();
            assert_eq!(elsewhere, whole);
        }
    }

    fn decode(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        match encoding {
            Zstd => body = zstd::stream::decode_all(bytes).unwrap(),
            Brotli => brotli::BrotliDecompress(&mut &bytes[..], &mut body).unwrap(),
            Gzip => _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut body).unwrap(),
        }
        body
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 10))]
        #[test]
        fn what_is_encoded_can_be_decoded(part in prop::collection::vec(any::<u8>(), 0..300), times in 1_usize..8) {
            let body = part.repeat(times);
            for encoding in Encoding::ALL {
                prop_assert_eq!(decode(encoding, &encode(encoding, &body)), body.clone());
            }
        }
    }
}
