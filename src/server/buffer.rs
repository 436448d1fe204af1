//! A body's bytes: in the heap if they are few, and else in pages of their own.
//!
//! The heap keeps freed memory, with a part for each thread, so a flood of large bodies would leave hundreds of MiB
//! behind. Pages of their own go back to the system at once, and grow without a copy.

use std::io;

use memmap2::MmapMut;

/// A body from this size on has its own pages.
const HEAP: usize = 1 << 20;
/// The largest page of the system.
const PAGE: usize = 2 << 20;
/// The most that a body is charged at first. It is charged more as it arrives.
const FIRST: usize = 16 << 10;

/// A body's bytes.
#[derive(Debug)]
pub(super) enum Buffer {
    Heap(Vec<u8>),
    /// The pages, and how many of their bytes are used.
    Pages(MmapMut, usize),
}

impl Buffer {
    pub(super) const fn new() -> Self {
        Self::Heap(Vec::new())
    }

    pub(super) fn bytes(&self) -> &[u8] {
        match self {
            Self::Heap(bytes) => bytes,
            Self::Pages(pages, length) => pages.get(..*length).unwrap_or_default(),
        }
    }

    /// The bytes that it takes when it has grown to this length, by its declared length.
    pub(super) fn taking(&self, length: usize, declared: usize) -> usize {
        match self {
            _ if length > HEAP => length.next_multiple_of(PAGE),
            Self::Pages(..) => length.next_multiple_of(PAGE),
            Self::Heap(bytes) => match bytes.capacity() {
                capacity if length <= capacity => capacity,
                0 => length.max(declared.min(FIRST)),
                capacity => length.max((capacity * 2).min(declared.max(length))),
            },
        }
    }

    /// Adds bytes. `largest` is the limit of the whole body.
    pub(super) fn append(&mut self, data: &[u8], declared: usize, largest: usize) -> io::Result<()> {
        let (before, length) = (self.bytes().len(), self.bytes().len() + data.len());
        let taking = self.taking(length, declared);
        if length > HEAP && matches!(self, Self::Heap(_)) {
            // This reserves addresses. Memory is used when bytes are written.
            let mut pages = MmapMut::map_anon(largest.max(length))?;
            pages.get_mut(..before).into_iter().for_each(|to| to.copy_from_slice(self.bytes()));
            *self = Self::Pages(pages, before);
        }
        match self {
            Self::Heap(bytes) => {
                bytes.reserve_exact(taking - before);
                bytes.extend_from_slice(data);
            }
            Self::Pages(pages, held) => {
                let Some(to) = pages.get_mut(before..length) else {
                    return Err(io::ErrorKind::FileTooLarge.into());
                };
                to.copy_from_slice(data);
                *held = length;
            }
        }
        Ok(())
    }

    /// The first bytes.
    pub(super) fn head(&self, longest: usize) -> Vec<u8> {
        let bytes = self.bytes();
        bytes.get(..longest).unwrap_or(bytes).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_the_same_in_the_heap_and_in_pages() {
        let whole: Vec<u8> = (0..3_000_000_u32).map(|number| number as u8).collect();
        for declared in [0, whole.len()] {
            let mut buffer = Buffer::new();
            for (number, part) in whole.chunks(100_000).enumerate() {
                let length = buffer.bytes().len() + part.len();
                let taking = buffer.taking(length, declared);
                buffer.append(part, declared, whole.len()).unwrap();
                assert!(taking >= length && taking <= 2 * length + PAGE, "part {number}: {taking}");
            }
            assert!(matches!(buffer, Buffer::Pages(..)));
            assert!(buffer.bytes() == whole);
            assert_eq!(buffer.head(3), [0, 1, 2]);
            assert!(buffer.append(&[0], declared, whole.len()).is_err());
        }
    }
}
