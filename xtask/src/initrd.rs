//! A kernel's first file system: a cpio archive in the format `newc`, which Linux unpacks
//! (Documentation/driver-api/early-userspace/buffer-format.rst).

use std::io::{self, Write};

const FOLDER: u32 = 0o040_755;
const FILE: u32 = 0o100_644;
const PROGRAM: u32 = 0o100_755;

/// An archive under construction.
#[derive(Debug)]
pub(crate) struct Initrd<W: Write> {
    out: W,
    inode: u32,
}

impl<W: Write> Initrd<W> {
    /// An empty archive.
    pub(crate) fn new(out: W) -> Self {
        Initrd { out, inode: 0 }
    }

    /// Adds a folder. Its parents must come first.
    pub(crate) fn folder(&mut self, name: &str) -> io::Result<()> {
        self.entry(name, FOLDER, &[])
    }

    /// Adds a file.
    pub(crate) fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.entry(name, FILE, content)
    }

    /// Adds an executable file.
    pub(crate) fn program(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        self.entry(name, PROGRAM, content)
    }

    /// Ends the archive.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) -> io::Result<()> {
        const HEADER: usize = 110;
        let too_large = |_| io::Error::from(io::ErrorKind::FileTooLarge);
        let size = u32::try_from(content.len()).map_err(too_large)?;
        let name_size = u32::try_from(name.len() + 1).map_err(too_large)?;
        self.inode += 1;
        // Inode, mode, user, group, links, time, size, two devices, length of the name, sum.
        let fields = [self.inode, mode, 0, 0, 1, 0, size, 0, 0, 0, 0, name_size, 0];
        write!(self.out, "070701")?;
        for field in fields {
            write!(self.out, "{field:08x}")?;
        }
        self.out.write_all(name.as_bytes())?;
        self.out.write_all(&[0])?;
        self.pad(HEADER + name.len() + 1)?;
        self.out.write_all(content)?;
        self.pad(content.len())
    }

    /// Pads to a multiple of four.
    fn pad(&mut self, written: usize) -> io::Result<()> {
        self.out.write_all(&[0; 3][..written.next_multiple_of(4) - written])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_padded_to_four_bytes_and_end_with_the_trailer() {
        let mut initrd = Initrd::new(Vec::new());
        initrd.folder("bin").unwrap();
        initrd.file("bin/x", b"hello").unwrap();
        let bytes = initrd.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let file = &bytes[116..];
        assert_eq!(&file[..14], b"07070100000002");
        assert_eq!(&file[54..62], b"00000005");
        assert_eq!(&file[110..124], b"bin/x\0hello\0\0\0");
    }
}
