//! A body's bytes: in the heap while they are few, and in pages of their own beyond.
//!
//! The heap keeps what was freed, in as many parts as there are threads, so a flood of large bodies would leave hundreds
//! of MiB behind. Pages of their own go back to the system at once, and grow without being copied.

use std::io;

use memmap2::MmapMut;

/// From here on a body has its own pages.
const HEAP: usize = 1 << 20;
/// The largest page that the system may give at once.
const PAGE: usize = 2 << 20;
/// What a body takes at first, at most: it is given more as it comes in.
const FIRST: usize = 16 << 10;

/// A body's bytes.
#[derive(Debug)]
pub(super) enum Buffer {
    Heap(Vec<u8>),
    /// So many bytes of them.
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

    /// What it takes when it has grown to so many bytes, of those that were declared.
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

    /// Adds more. A body has at most so many bytes.
    pub(super) fn append(&mut self, data: &[u8], declared: usize, largest: usize) -> io::Result<()> {
        let (before, length) = (self.bytes().len(), self.bytes().len() + data.len());
        let taking = self.taking(length, declared);
        if length > HEAP && matches!(self, Self::Heap(_)) {
            // Addresses, and no memory until something is written there.
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

    /// Its first bytes.
    pub(super) fn head(&self, longest: usize) -> Vec<u8> {
        self.bytes().iter().take(longest).copied().collect()
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
