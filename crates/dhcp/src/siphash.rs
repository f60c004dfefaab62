//! SipHash-2-4 with 128 bits (Aumasson, Bernstein: "SipHash: a fast short-input PRF", and its reference code).
//!
//! A keyed hash: who sees hashes of known names does not learn the key from them.

/// The hash of `text` under `key`.
pub(crate) fn siphash128(key: [u8; 16], text: &[u8]) -> [u8; 16] {
    let (k0, k1) = (word(&key[..8]), word(&key[8..]));
    let mut state = [
        k0 ^ 0x736f_6d65_7073_6575,
        k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
        k0 ^ 0x6c79_6765_6e65_7261,
        k1 ^ 0x7465_6462_7974_6573,
    ];
    let words = text.chunks_exact(8);
    // The last word has the bytes that are left over and, at its top, the length.
    let last = word(words.remainder()) | (text.len() as u64) << 56;
    for word in words.map(word).chain([last]) {
        state[3] ^= word;
        rounds(&mut state, 2);
        state[0] ^= word;
    }
    let mut hash = [0; 16];
    state[2] ^= 0xee;
    rounds(&mut state, 4);
    hash[..8].copy_from_slice(&state.iter().fold(0, |sum, v| sum ^ v).to_le_bytes());
    state[1] ^= 0xdd;
    rounds(&mut state, 4);
    hash[8..].copy_from_slice(&state.iter().fold(0, |sum, v| sum ^ v).to_le_bytes());
    hash
}

/// Up to eight bytes as a little-endian number.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

fn rounds(v: &mut [u64; 4], count: usize) {
    for _ in 0..count {
        v[0] = v[0].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(13) ^ v[0];
        v[0] = v[0].rotate_left(32);
        v[2] = v[2].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(16) ^ v[2];
        v[0] = v[0].wrapping_add(v[3]);
        v[3] = v[3].rotate_left(21) ^ v[0];
        v[2] = v[2].wrapping_add(v[1]);
        v[1] = v[1].rotate_left(17) ^ v[2];
        v[2] = v[2].rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_vectors_match() {
        let key: [u8; 16] = std::array::from_fn(|i| i as u8);
        let text: Vec<u8> = (0..16).collect();
        let hash = |len| siphash128(key, &text[..len]).map(|b| format!("{b:02x}")).concat();
        assert_eq!(hash(0), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hash(1), "da87c1d86b99af44347659119b22fc45");
        assert_eq!(hash(2), "8177228da4a45dc7fca38bdef60affe4");
        assert_eq!(hash(15), "5493e99933b0a8117e08ec0f97cfc3d9");
    }
}
