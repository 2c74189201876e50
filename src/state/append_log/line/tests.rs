use super::*;

#[test]
fn every_changed_byte_of_a_line_is_detected() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    let line = write(&["a\nb", "\u{2028}"]);
    let (end, line) = line.split_last().unwrap();
    assert_eq!((*end, line.contains(&b'\n')), (b'\n', false));
    assert_eq!(read::<Vec<String>>(line), Some(vec!["a\nb".to_owned(), "\u{2028}".to_owned()]));
    for at in (0..line.len()).filter(|at| *at != 8) {
        let mut broken = line.to_vec();
        broken[at] ^= 1;
        assert_eq!(read::<Vec<String>>(&broken), None, "{at}");
        assert_eq!(read::<Vec<String>>(&line[..at]), None, "{at}");
    }
}
