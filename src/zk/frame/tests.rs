use super::*;

fn frame(length: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    bytes.extend((0..length).map(|n| u8::try_from(n % 251).unwrap()));
    bytes
}

fn lengths(input: &[u8], step: usize) -> Result<Vec<usize>, usize> {
    let (mut frames, mut seen) = (Frames::default(), Vec::new());
    for part in input.chunks(step) {
        frames.room().extend_from_slice(part);
        while let Some(frame) = frames.next()? {
            seen.push(match frame {
                Frame::Content(bytes) => bytes.len(),
                Frame::Head { head, length } => {
                    assert_eq!(head.len(), HEAD);
                    length
                }
            });
        }
    }
    Ok(seen)
}

#[test]
fn frames_come_out_however_they_came_in() {
    let sizes = [0, 1, 16, 5000, 3];
    let input: Vec<u8> = sizes.iter().flat_map(|size| frame(*size)).collect();
    for step in [1, 2, 3, 7, 4096, input.len()] {
        assert_eq!(lengths(&input, step).unwrap(), sizes, "in steps of {step}");
    }
}

#[test]
fn one_that_is_too_large_is_read_past_and_takes_no_memory() {
    let sizes = [3, MAX_FRAME + 1, 5, MAX_FRAME, 7];
    let input: Vec<u8> = sizes.iter().flat_map(|size| frame(*size)).collect();
    for step in [4096, 100_000, input.len()] {
        assert_eq!(lengths(&input, step).unwrap(), sizes, "in steps of {step}");
    }
    let mut frames = Frames::default();
    for part in frame(3 * MAX_FRAME).chunks(64 * 1024) {
        frames.room().extend_from_slice(part);
        while frames.next().unwrap().is_some() {}
        assert!(frames.buffer.capacity() < 512 * 1024, "{}", frames.buffer.capacity());
    }
}

#[test]
fn a_length_that_nobody_sends_ends_it_and_costs_nothing() {
    assert_eq!(lengths(&[0xff; 8], 8), Err(u32::MAX as usize));
    assert_eq!(lengths(b"HTTP/1.1 400 Bad Request", 24), Err(u32::from_be_bytes(*b"HTTP") as usize));
}
