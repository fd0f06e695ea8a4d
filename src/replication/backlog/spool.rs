//! What the source has sent of a backlog and the destination has not taken: blocks of messages, first in, first out.
//!
//! A little of it is kept in memory, the rest in a temporary file without a name, which only this process can read and
//! which is gone with it. So an answer of the source ends, and its snapshot with it, although the destination is slower,
//! and the source decodes the next piece while the destination writes this one.

use std::collections::VecDeque;
use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};

use bytes::{Bytes, BytesMut};

/// What is kept in memory before the file is used.
const MEMORY_BYTES: usize = 512 * 1024;
/// The largest size of the file.
pub(super) const FILE_BYTES: u64 = 256 * 1024 * 1024;
/// As long as so much is free, one more block is asked for.
const BLOCK_BYTES: u64 = 1024 * 1024;

/// A block waiting.
enum Block {
    Memory(Bytes),
    /// So many bytes, the next in the file.
    File(usize),
}

/// The queue of blocks.
pub(super) struct Spool {
    blocks: VecDeque<Block>,
    /// The bytes of the blocks in memory.
    memory: usize,
    ring: Option<Ring>,
}

impl Spool {
    /// With a file where temporary files belong, or with memory alone when there can be none.
    pub(super) fn open() -> Self {
        let dir = directory();
        let file = private_file(&dir)
            .inspect_err(|error| tracing::info!("no temporary file in {}: {error}; memory has to do", dir.display()));
        Self::with(file.ok().map(|file| Ring::new(file, FILE_BYTES)))
    }

    fn with(ring: Option<Ring>) -> Self {
        Self { blocks: VecDeque::new(), memory: 0, ring }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Bytes waiting.
    pub(super) fn len(&self) -> u64 {
        self.memory as u64 + self.ring.as_ref().map_or(0, Ring::len)
    }

    /// Whether one more block is to be asked for.
    pub(super) fn has_room(&self) -> bool {
        // A block that the file could not take stands in memory, however large it is.
        self.memory < MEMORY_BYTES
            || self.memory < 2 * MEMORY_BYTES && self.ring.as_ref().is_some_and(|ring| ring.free() >= BLOCK_BYTES)
    }

    pub(super) fn put(&mut self, block: Bytes) {
        if block.is_empty() {
            return;
        }
        let length = block.len();
        if let Some(ring) = &mut self.ring
            && (self.memory >= MEMORY_BYTES || ring.len() > 0)
            && ring.free() >= length as u64
        {
            match ring.write(&block) {
                Ok(()) => return self.blocks.push_back(Block::File(length)),
                // Its disk is full, most likely: what is in it can be read, but it takes no more.
                Err(error) => {
                    tracing::info!("the temporary file of the backlog takes no more: {error}");
                    ring.closed = true;
                }
            }
        }
        self.memory += length;
        self.blocks.push_back(Block::Memory(block));
    }

    /// The next block; empty when there is none.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn take(&mut self) -> io::Result<Bytes> {
        match (self.blocks.pop_front(), &mut self.ring) {
            (Some(Block::Memory(block)), _) => {
                self.memory -= block.len();
                Ok(block)
            }
            (Some(Block::File(length)), Some(ring)) => ring.read(length),
            _ => Ok(Bytes::new()),
        }
    }
}

/// Where large temporary files go: what the user has chosen (`TMPDIR`), or `/var/tmp`, as `/tmp` is often kept in memory
/// (file-hierarchy(7)).
fn directory() -> PathBuf {
    let (usual, large) = (std::env::temp_dir(), Path::new("/var/tmp"));
    if usual == Path::new("/tmp") && large.is_dir() { large.to_owned() } else { usual }
}

fn private_file(dir: &Path) -> io::Result<File> {
    let file = tempfile::tempfile_in(dir)?;
    // Nobody can open what has no name, but the mode of such a file is left to the umask.
    file.set_permissions(Permissions::from_mode(0o600))?;
    Ok(file)
}

/// A file that is written round and round.
struct Ring {
    file: File,
    size: u64,
    /// What was written and read since the beginning.
    written: u64,
    read: u64,
    /// Nothing is written any more.
    closed: bool,
}

impl Ring {
    fn new(file: File, size: u64) -> Self {
        Self { file, size, written: 0, read: 0, closed: false }
    }

    fn len(&self) -> u64 {
        self.written - self.read
    }

    fn free(&self) -> u64 {
        if self.closed { 0 } else { self.size - self.len() }
    }

    /// What is at a place of the file is in one piece up to its end.
    fn place(&self, at: u64, length: usize) -> (u64, usize) {
        let place = at % self.size;
        (place, usize::try_from(self.size - place).map_or(length, |rest| rest.min(length)))
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        let (place, first) = self.place(self.written, block.len());
        self.file.write_all_at(&block[..first], place)?;
        self.file.write_all_at(&block[first..], 0)?;
        self.written += block.len() as u64;
        Ok(())
    }

    fn read(&mut self, length: usize) -> io::Result<Bytes> {
        let mut block = BytesMut::zeroed(length);
        let (place, first) = self.place(self.read, length);
        self.file.read_exact_at(&mut block[..first], place)?;
        self.file.read_exact_at(&mut block[first..], 0)?;
        self.read += length as u64;
        Ok(block.freeze())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use bytes::Bytes;

    use super::{MEMORY_BYTES, Ring, Spool};

    /// Blocks of many sizes, each with bytes of its own.
    fn blocks() -> impl Iterator<Item = Bytes> {
        (0..500_usize).map(|number| Bytes::from(vec![(number % 251) as u8; number * 7919 % 100_000]))
    }

    #[test]
    fn blocks_come_back_in_their_order_round_and_round() {
        let file = tempfile::tempfile().unwrap();
        let mut spool = Spool::with(Some(Ring::new(file, 3_000_000)));
        let (mut waiting, mut waited) = (VecDeque::new(), 0_u64);
        for (number, block) in blocks().filter(|block| !block.is_empty()).enumerate() {
            while !spool.has_room() || number % 3 == 0 && !spool.is_empty() {
                assert_eq!(spool.take().unwrap(), waiting.pop_front().unwrap());
                if number % 3 == 0 {
                    break;
                }
            }
            spool.put(block.clone());
            waiting.push_back(block);
            assert_eq!(spool.len(), waiting.iter().map(|block| block.len() as u64).sum::<u64>());
            waited = waited.max(spool.len());
        }
        assert!(waited > 2 * MEMORY_BYTES as u64, "the file was used");
        for block in waiting {
            assert_eq!(spool.take().unwrap(), block);
        }
        assert_eq!((spool.is_empty(), spool.len(), spool.take().unwrap().len()), (true, 0, 0));
    }

    #[test]
    fn without_a_file_or_with_a_full_one_memory_has_to_do() {
        let block = Bytes::from(vec![1; 300_000]);
        let mut spool = Spool::with(None);
        for _ in 0..2 {
            assert!(spool.has_room());
            spool.put(block.clone());
        }
        assert!(!spool.has_room());
        // A file that can't be written, as on a full disk.
        let full = tempfile::NamedTempFile::new().unwrap();
        let full = std::fs::File::open(full.path()).unwrap();
        let mut spool = Spool::with(Some(Ring::new(full, 3_000_000)));
        for _ in 0..3 {
            assert!(spool.has_room());
            spool.put(block.clone());
        }
        assert!(!spool.has_room(), "nothing is asked for that would stand in memory");
        for _ in 0..3 {
            assert_eq!(spool.take().unwrap(), block);
        }
        // A row that is larger than the file.
        let mut spool = Spool::with(Some(Ring::new(tempfile::tempfile().unwrap(), 3_000_000)));
        let huge = Bytes::from(vec![2; 4_000_000]);
        spool.put(block.clone());
        spool.put(block.clone());
        spool.put(huge.clone());
        assert!(!spool.has_room());
        assert_eq!([300_000, 300_000, 4_000_000], [(); 3].map(|()| spool.take().unwrap().len()));
        assert!(spool.has_room());
    }
}
