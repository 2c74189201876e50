use super::*;

fn frame(length: usize) -> Vec<u8> {
    let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
    bytes.extend((0..length).map(|n| u8::try_from(n % 251).unwrap()));
    bytes
}

fn lengths(input: &[u8], step: usize) -> Result<Vec<usize>, usize> {
    let (mut frames, mut seen) = (Frames::default(), Vec::new());
    for part in input.chunks(step) {
        frames.buffer().extend_from_slice(part);
        while let Some(frame) = frames.next()? {
            seen.push(match frame {
                Frame::Complete(bytes) => bytes.len(),
                Frame::Oversized { header, length } => {
                    assert_eq!(header.len(), HEADER);
                    length
                }
            });
        }
    }
    Ok(seen)
}

#[test]
fn frames_do_not_depend_on_how_the_bytes_arrive() {
    let sizes = [0, 1, 16, 5000, 3];
    let input: Vec<u8> = sizes.iter().flat_map(|size| frame(*size)).collect();
    for step in [1, 2, 3, 7, 4096, input.len()] {
        assert_eq!(lengths(&input, step).unwrap(), sizes, "in steps of {step}");
    }
}

#[test]
fn an_oversized_frame_is_skipped_without_memory() {
    let sizes = [3, MAX_FRAME + 1, 5, MAX_FRAME, 7];
    let input: Vec<u8> = sizes.iter().flat_map(|size| frame(*size)).collect();
    for step in [4096, 100_000, input.len()] {
        assert_eq!(lengths(&input, step).unwrap(), sizes, "in steps of {step}");
    }
    let mut frames = Frames::default();
    for part in frame(3 * MAX_FRAME).chunks(64 * 1024) {
        frames.buffer().extend_from_slice(part);
        while frames.next().unwrap().is_some() {}
        assert!(frames.buffer.capacity() < 512 * 1024, "{}", frames.buffer.capacity());
    }
}

#[test]
fn an_absurd_length_is_an_error() {
    assert_eq!(lengths(&[0xff; 8], 8), Err(u32::MAX as usize));
    assert_eq!(lengths(b"HTTP/1.1 400 Bad Request", 24), Err(u32::from_be_bytes(*b"HTTP") as usize));
}
