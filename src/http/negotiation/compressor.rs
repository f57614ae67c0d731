//! Encoding a body piece by piece.

use std::io::{self, Write as _};
use std::mem;

use axum::body::Bytes;
use brotli::CompressorWriter;
use flate2::write::GzEncoder;

use super::encoding::Encoding;

/// Brotli's window, as a power of two of bytes, and its quality.
const BROTLI_WINDOW: u32 = 20;
const BROTLI_QUALITY: u32 = 4;

/// Encodes a body of any length. Each piece is passed on as far as the encoder has it.
pub(in crate::http) enum Compressor {
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
    Brotli(Box<CompressorWriter<Vec<u8>>>),
    Gzip(GzEncoder<Vec<u8>>),
}

impl Compressor {
    /// One for an encoding.
    ///
    /// # Errors
    /// When memory runs out.
    pub fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Zstd => Self::Zstd(zstd::stream::write::Encoder::new(Vec::new(), 3)?),
            Encoding::Brotli => Self::Brotli(Box::new(CompressorWriter::new(Vec::new(), 1 << 16, BROTLI_QUALITY, BROTLI_WINDOW))),
            Encoding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), flate2::Compression::new(5))),
        })
    }

    /// Adds a piece and takes what is encoded. That may be nothing.
    pub fn add(&mut self, piece: &[u8]) -> io::Result<Bytes> {
        let encoded = match self {
            Self::Zstd(encoder) => encoder.write_all(piece).map(|()| encoder.get_mut()),
            Self::Brotli(encoder) => encoder.write_all(piece).map(|()| encoder.get_mut()),
            Self::Gzip(encoder) => encoder.write_all(piece).map(|()| encoder.get_mut()),
        };
        encoded.map(mem::take).map(Bytes::from)
    }

    /// The end of the body.
    pub fn finish(self) -> io::Result<Bytes> {
        match self {
            Self::Zstd(encoder) => encoder.finish().map(Bytes::from),
            Self::Brotli(encoder) => Ok(encoder.into_inner().into()),
            Self::Gzip(encoder) => encoder.finish().map(Bytes::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use proptest::prelude::*;

    use super::*;

    fn decode(encoding: Encoding, bytes: &[u8]) -> Vec<u8> {
        let mut body = Vec::new();
        match encoding {
            Encoding::Zstd => body = zstd::stream::decode_all(bytes).unwrap(),
            Encoding::Brotli => brotli::BrotliDecompress(&mut &bytes[..], &mut body).unwrap(),
            Encoding::Gzip => _ = flate2::read::GzDecoder::new(bytes).read_to_end(&mut body).unwrap(),
        }
        body
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases / 16))]
        #[test]
        fn pieces_are_decoded_as_the_whole_they_were(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..900), 0..30)) {
            for encoding in [Encoding::Zstd, Encoding::Brotli, Encoding::Gzip] {
                let mut compressor = Compressor::new(encoding).unwrap();
                let mut encoded = Vec::new();
                for piece in &pieces {
                    encoded.extend_from_slice(&compressor.add(piece).unwrap());
                }
                encoded.extend_from_slice(&compressor.finish().unwrap());
                prop_assert_eq!(decode(encoding, &encoded), pieces.concat());
            }
        }
    }
}
