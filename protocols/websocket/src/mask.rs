//! Masking (section 5.3).

const WORD: usize = 8;

/// Takes the mask off, and gives the mask for what follows.
pub(crate) fn unmask(bytes: &mut [u8], mask: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut words = bytes.chunks_exact_mut(WORD);
    for word in &mut words {
        let mut value = [0; WORD];
        value.copy_from_slice(word);
        word.copy_from_slice(&(u64::from_ne_bytes(value) ^ wide).to_ne_bytes());
    }
    words.into_remainder().iter_mut().zip(mask.into_iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
    let mut next = mask;
    next.rotate_left(bytes.len() % mask.len());
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_pieces_as_in_one() {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        let plain: Vec<u8> = (0..100).collect();
        let masked: Vec<u8> = plain.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
        for cut in 0..=plain.len() {
            let mut bytes = masked.clone();
            let (first, second) = bytes.split_at_mut(cut);
            let next = unmask(first, mask);
            unmask(second, next);
            assert_eq!(bytes, plain, "{cut}");
        }
    }
}
