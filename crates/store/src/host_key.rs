//! Random bytes that distinguish this host from others and stay, for hosts without a machine id.

use crate::disk;
use crate::{Store, StoreError};
use std::path::PathBuf;

/// The length of the key, in bytes.
const LENGTH: usize = 16;

impl Store {
    /// The key of this host; `fresh` becomes the key if there is none.
    pub fn host_key(&self, fresh: [u8; LENGTH]) -> Result<[u8; LENGTH], StoreError> {
        let path = self.host_key_path();
        let hex = format!("{:032x}\n", u128::from_be_bytes(fresh));
        self.disk.create(&path, hex.as_bytes())?;
        let text = disk::read(&path)?.unwrap_or_default();
        let digits = std::str::from_utf8(&text).unwrap_or_default().trim();
        let key = u128::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 2 * LENGTH);
        key.map(u128::to_be_bytes).ok_or_else(|| StoreError::unreadable(&path, "is not 32 hex digits"))
    }

    fn host_key_path(&self) -> PathBuf {
        self.disk.state().join("host-key")
    }
}

#[cfg(test)]
mod tests {
    use crate::scratch::Scratch;

    #[test]
    fn the_first_key_stays() {
        let scratch = Scratch::new();
        let store = scratch.store();
        assert_eq!(store.host_key([7; 16]).unwrap(), [7; 16]);
        assert_eq!(store.host_key([8; 16]).unwrap(), [7; 16]);
        std::fs::write(scratch.path("state/host-key"), "07").unwrap();
        assert!(store.host_key([8; 16]).is_err());
    }
}
