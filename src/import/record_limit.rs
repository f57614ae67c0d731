//! Lines of a bounded size: a file without line breaks, or with a quote that never closes, is not read into memory as one line.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// The longest line, in bytes.
pub(super) const MAX_LINE: usize = 1024 * 1024;
/// What readers may have read ahead.
const AHEAD: usize = 128 * 1024;

/// What is wrong with a line that is longer.
pub(super) const TOO_LONG: &str = "is longer than 1 MiB; is a line break or a closing quote missing?";

/// Fails when more than a line's size is read without [`Lines::next`].
pub(super) struct Limited<R> {
    from: R,
    read: Rc<Cell<usize>>,
}

/// Counts lines anew.
pub(super) struct Lines(Rc<Cell<usize>>);

/// Limits what is read between two calls of [`Lines::next`].
pub(super) fn limit<R: Read>(from: R) -> (Limited<R>, Lines) {
    let read = Rc::new(Cell::new(0));
    (Limited { from, read: Rc::clone(&read) }, Lines(read))
}

impl Lines {
    /// A line was taken.
    pub(super) fn next(&self) {
        self.0.set(0);
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.read.get() > MAX_LINE + AHEAD {
            return Err(io::Error::new(io::ErrorKind::InvalidData, TOO_LONG));
        }
        let count = self.from.read(buffer)?;
        self.read.set(self.read.get() + count);
        Ok(count)
    }
}
