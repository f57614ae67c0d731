//! Where requests of HTTP/1.1 end in what is read, and with that where the next one's head begins.
//!
//! The library reads ahead and tells nobody how much of it is the next request's. Two things need that: a head byte for byte, because the
//! library drops `Content-Length` where `Transfer-Encoding` stands too before anybody can see that both were there; and the time that a head
//! may take, which begins when something of it is there.
//!
//! A request that came alone and whole, as nearly all do, is told by the empty line before its body and the count of lines before that. And a
//! copy is believed only when it is the head that the library has read, line by line.

use std::mem;

use axum::http::Request;

/// More than this no head has: the library refuses it.
pub(super) const HEAD_BYTES: usize = 96 * 1024;

/// What of a copy's memory is kept for the next one.
const KEPT_BYTES: usize = 2048;

/// A chunk's size in hexadecimal digits at most, with its extensions: the library allows no more.
const SIZE_LINE_BYTES: usize = 16 * 1024 + 32;

/// What ends a head.
const END: &[u8] = b"\r\n\r\n";

/// The body that a head announces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Announced {
    /// So many bytes; 0 when there is no body.
    Length(u64),
    Chunked,
}

/// What is known of the head of a request in chunks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was seen whole, and says no length.
    Clear,
    /// It says a length, too.
    HasLength,
    /// Nobody knows what stood in it.
    Not,
}

/// What is known of a request that begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Beginning {
    /// Of its head, if it comes in chunks.
    pub seen: Seen,
    /// Whether all of its body was read.
    pub is_whole: bool,
    /// Whether something of a further request was read.
    pub has_more: bool,
}

/// What was read, from the beginning of a head on.
#[derive(Debug, Default)]
pub(super) struct Framing {
    bytes: Vec<u8>,
    at: At,
}

/// What comes next.
#[derive(Debug, Default)]
enum At {
    /// More of the head of which `bytes` is the beginning.
    #[default]
    Head,
    /// A new head: the request that `bytes` are ended with them.
    Between,
    /// More of a body.
    Body(Body),
    /// Nobody knows.
    Lost,
}

impl Framing {
    /// Adds what was read. Whether something of a request is there that has not begun.
    pub(super) fn read(&mut self, mut came: &[u8]) -> bool {
        match &mut self.at {
            At::Between => self.forget(),
            At::Head => {}
            At::Body(body) => {
                let Some(taken) = body.take(came) else { return false };
                came = &came[taken..];
                self.forget();
            }
            At::Lost => return false,
        }
        // The library reads no further than this while it waits.
        if self.bytes.len() + came.len() > 2 * HEAD_BYTES {
            self.lose();
            return false;
        }
        self.bytes.extend_from_slice(came);
        self.has_begun()
    }

    /// The request whose head came last begins, with this body.
    pub(super) fn begin<B>(&mut self, request: &Request<B>, body: Announced) -> Beginning {
        if let (At::Head, Announced::Length(length)) = (&self.at, body)
            && let Ok(length) = usize::try_from(length)
            && let Some(end) = self.bytes.len().checked_sub(length)
            && self.bytes[..end].ends_with(END)
            // The library drops lines but adds none: a head that ended before has as many, and there is one more here.
            && count_lines(&self.bytes[..end]) == request.headers().len() + 2
        {
            self.at = At::Between;
            return Beginning { seen: Seen::Not, is_whole: true, has_more: false };
        }
        self.begin_by_search(request, body)
    }

    fn begin_by_search<B>(&mut self, request: &Request<B>, body: Announced) -> Beginning {
        let end = if matches!(self.at, At::Head) { head_end(&self.bytes) } else { None };
        let Some(end) = end else {
            self.lose();
            return Beginning { seen: Seen::Not, is_whole: body == Announced::Length(0), has_more: false };
        };
        let seen = if body == Announced::Chunked { compare(&self.bytes[..end], request) } else { Seen::Not };
        let mut body = Body::of(body);
        let taken = body.take(&self.bytes[end..]);
        if let Some(taken) = taken {
            self.bytes.drain(..end + taken);
            self.at = At::Head;
        } else {
            self.forget();
            self.at = At::Body(body);
        }
        Beginning { seen, is_whole: taken.is_some(), has_more: self.has_begun() }
    }

    /// Nothing of this matters any more.
    pub(super) fn lose(&mut self) {
        self.bytes = Vec::new();
        self.at = At::Lost;
    }

    fn forget(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT_BYTES);
        self.at = At::Head;
    }

    /// Empty lines before a head are none of it.
    fn has_begun(&self) -> bool {
        matches!(self.at, At::Head) && self.bytes.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }
}

/// How many lines end here. In pieces whose counts fit into a byte, of which many are added at once.
fn count_lines(bytes: &[u8]) -> usize {
    bytes.chunks(255).map(|piece| usize::from(piece.iter().map(|byte| u8::from(*byte == b'\n')).sum::<u8>())).sum()
}

/// The lines of a head, without their ends, and where each ends.
fn lines(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut end = 0;
    let lines = bytes.split_inclusive(|byte| *byte == b'\n').take_while(|line| line.ends_with(b"\n"));
    let lines = lines.map(move |line| {
        end += line.len();
        let line = &line[..line.len() - 1];
        (line.strip_suffix(b"\r").unwrap_or(line), end)
    });
    lines.skip_while(|(line, _)| line.is_empty())
}

/// Where the head that begins here ends.
fn head_end(bytes: &[u8]) -> Option<usize> {
    lines(bytes).find_map(|(line, end)| line.is_empty().then_some(end))
}

/// Whether this is the head that was read. It is if its lines are the headers, each once and in their order among those of its name: then no
/// line is missing here but such as were dropped, and what drops a length is a line that is not.
fn compare<B>(head: &[u8], request: &Request<B>) -> Seen {
    let mut lines = lines(head).map(|(line, _)| line);
    let method = request.method().as_str().as_bytes();
    if !lines.next().and_then(|line| line.strip_prefix(method)).is_some_and(|rest| rest.starts_with(b" ")) {
        return Seen::Not;
    }
    let (mut count, mut has_length) = (0, false);
    for line in lines.take_while(|line| !line.is_empty()) {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { return Seen::Not };
        let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
        if name.eq_ignore_ascii_case(b"content-length") {
            has_length = true;
            continue;
        }
        let Ok(name) = axum::http::HeaderName::from_bytes(name) else { return Seen::Not };
        if !request.headers().get_all(name).iter().any(|given| given.as_bytes().trim_ascii() == value) {
            return Seen::Not;
        }
        count += 1;
    }
    match (count == request.headers().len(), has_length) {
        (false, _) => Seen::Not,
        (true, true) => Seen::HasLength,
        (true, false) => Seen::Clear,
    }
}

/// A body on its way.
#[derive(Debug)]
enum Body {
    /// So many bytes are to come.
    Length(u64),
    /// A line is to come that says how long the next chunk is; so much of it is there.
    Size(Vec<u8>),
    /// So many bytes of a chunk are to come, with the end of its line.
    Chunk(u64),
    /// A line of the trailers is to come, of which something is there, or nothing.
    Trailer(bool),
    /// It is none; the library ends the connection.
    Malformed,
}

impl Body {
    fn of(announced: Announced) -> Self {
        match announced {
            Announced::Length(length) => Self::Length(length),
            Announced::Chunked => Self::Size(Vec::new()),
        }
    }

    /// Takes what belongs to it; `None` when more is to come.
    fn take(&mut self, came: &[u8]) -> Option<usize> {
        let mut rest = came;
        loop {
            let line_end = rest.iter().position(|byte| *byte == b'\n');
            match self {
                Self::Malformed => return None,
                Self::Length(length) | Self::Chunk(length) => {
                    let taken = usize::try_from(*length).unwrap_or(usize::MAX).min(rest.len());
                    *length -= taken as u64;
                    rest = &rest[taken..];
                    if *length > 0 {
                        return None;
                    }
                    match mem::replace(self, Self::Size(Vec::new())) {
                        Self::Chunk(_) => {}
                        _ => return Some(came.len() - rest.len()),
                    }
                }
                Self::Size(line) => {
                    let end = line_end.map_or(rest.len(), |end| end + 1);
                    line.extend_from_slice(&rest[..end]);
                    rest = &rest[end..];
                    if line.len() > SIZE_LINE_BYTES {
                        *self = Self::Malformed;
                    } else if line_end.is_none() {
                        return None;
                    } else {
                        *self = match chunk_size(line) {
                            Some(0) => Self::Trailer(false),
                            // The end of its line comes after it.
                            Some(size) => size.checked_add(2).map_or(Self::Malformed, Self::Chunk),
                            None => Self::Malformed,
                        };
                    }
                }
                Self::Trailer(has_begun) => {
                    let end = line_end.map_or(rest.len(), |end| end + 1);
                    let is_empty = !*has_begun && rest[..end].iter().all(|byte| matches!(byte, b'\r' | b'\n'));
                    rest = &rest[end..];
                    match (line_end, is_empty) {
                        (Some(_), true) => return Some(came.len() - rest.len()),
                        (Some(_), false) => *has_begun = false,
                        (None, _) => {
                            *has_begun = !is_empty;
                            return None;
                        }
                    }
                }
            }
        }
    }
}

fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.iter().position(|byte| !byte.is_ascii_hexdigit())?;
    u64::from_str_radix(str::from_utf8(&line[..digits]).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How much of a body in chunks is taken, in pieces of this size.
    fn taken(bytes: &[u8], piece: usize) -> Option<usize> {
        let mut body = Body::of(Announced::Chunked);
        let mut before = 0;
        for piece in bytes.chunks(piece) {
            if let Some(taken) = body.take(piece) {
                return Some(before + taken);
            }
            before += piece.len();
        }
        None
    }

    #[test]
    fn a_body_in_chunks_ends_where_it_ends_however_it_comes() {
        for body in ["0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n", "A;x=\"y\"\r\n0123456789\r\n1 \r\n\n\r\n00\r\nX: y\r\nZ:\r\n\r\n"] {
            let bytes = format!("{body}GET / HTTP/1.1\r\n\r\n");
            for piece in 1..bytes.len() {
                assert_eq!(taken(bytes.as_bytes(), piece), Some(body.len()), "{body:?} in pieces of {piece}");
            }
        }
        for endless in ["", "3\r\nabc\r\n", "0\r\n", "0\r\nX: y\r\n", "x\r\n\r\n0\r\n\r\n", "ffffffffffffffff\r\n0\r\n\r\n"] {
            assert_eq!(taken(endless.as_bytes(), 1000), None, "{endless:?}");
        }
        assert_eq!(taken("1".repeat(100_000).as_bytes(), 1000), None);
    }

    #[test]
    fn a_copy_is_believed_when_it_is_the_head_line_by_line() {
        let request =
            || Request::post("/").header("host", "a").header("transfer-encoding", "chunked").header("x", "1").body(()).unwrap();
        for (head, seen) in [
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n", Seen::Clear),
            ("\r\nPOST / HTTP/1.1\nHOST:a\nX:1 \nTransfer-Encoding:  chunked\n\n", Seen::Clear),
            ("POST / HTTP/1.1\r\nHost: a\r\ncontent-LENGTH: 3\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n", Seen::HasLength),
            ("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n", Seen::Not),
            ("POST / HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n", Seen::Not),
            ("Host: a\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n", Seen::Not),
            ("GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: 1\r\n\r\n", Seen::Not),
            ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: 1\r\n", Seen::Not),
        ] {
            let mut framing = Framing::default();
            framing.read(head.as_bytes());
            assert_eq!(framing.begin(&request(), Announced::Chunked).seen, seen, "{head:?}");
        }
    }
}
