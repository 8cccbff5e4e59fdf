//! What of chunked bodies passes.

use super::*;
use crate::relay::http1::head::FaultKind;

fn take(input: &[u8]) -> Result<Taken, Fault> {
    Chunked::new().take(input)
}

#[test]
fn body_ends_behind_its_trailers() {
    let body = b"5;a=\"b\"\r\nhello\r\n0aB\r\n";
    let input = [
        body,
        &[b'x'; 0xab][..],
        b"\r\n000\r\nA: b\r\nC:\r\n\r\nnext",
    ]
    .concat();

    let taken = take(&input).unwrap();

    assert!(taken.complete);
    assert_eq!(taken.bytes, input.len() - 4);
}

#[test]
fn incomplete_body_is_taken_whole() {
    let input = b"5\r\nhello\r\n0\r\nA: b\r\n\r\n";

    for end in 0..input.len() {
        let taken = take(&input[..end]).unwrap();

        assert_eq!((taken.bytes, taken.complete), (end, false));
    }
}

#[test]
fn faults_of_framing_are_refused() {
    for input in [
        "0x5\r\n",
        "+5\r\n",
        "-5\r\n",
        " 5\r\n",
        "5 \r\n",
        "5 ;a\r\n",
        "\r\n",
        ";a\r\n",
        "5\n",
        "5\r5",
        "8000000000000000\r\n",
        "10000000000000000\r\n",
        "5;\n",
        "5;\0",
        "1\r\nab",
        "1\r\na\n",
        "1\r\na\rb",
        "0\r\n\n",
        "0\r\n A: b",
        "0\r\nA : b",
        "0\r\n: b",
        "0\r\nA\r\n",
        "0\r\nA: \0",
        "0\r\nA: b\n",
        "0\r\nA: b\rc",
        "0\r\n\r0",
        "0\r\nContent-Length: 1",
        "0\r\nTRANSFER-ENCODING:",
    ] {
        assert!(take(input.as_bytes()).is_err(), "{input:?}");
    }
    assert!(take(b"7fffffffffffffff\r\n").is_ok());
    assert!(take(b"0\r\nContent-Lengt:\r\nContent-Lengthy:\r\nTE:\r\n\r\n").is_ok());
}

#[test]
fn data_may_pass_unread() {
    let mut body = Chunked::new();
    body.take(b"5\r\nhe").unwrap();

    body.skip(2);

    assert_eq!(body.data_left(), 1);
    assert!(body.take(b"o\r\n0\r\n\r\n").unwrap().complete);
    assert_eq!(body.data_left(), 0);
}

#[test]
fn state_is_small() {
    assert!(size_of::<Chunked>() <= 24);
}

#[test]
fn size_line_may_have_4096_bytes() {
    let body = |length: usize| [&vec![b'0'; length - 2], &b";a\r\n\r\n"[..]].concat();

    assert!(take(&body(4_096)).unwrap().complete);
    assert_eq!(take(&body(4_097)).unwrap_err().kind, FaultKind::TooLarge);
}

#[test]
fn each_size_line_counts_for_itself() {
    let chunk = [&vec![b'0'; 4_000], &b"1\r\nx\r\n"[..]].concat();
    let input = [&chunk, &chunk[..], b"0\r\n\r\n"].concat();

    assert!(take(&input).unwrap().complete);
}

#[test]
fn trailers_may_have_16384_bytes() {
    let body = |length: usize| {
        let lines = [
            &b"0\r\nA: b\r\nC:"[..],
            &vec![b'c'; length - 10],
            b"\r\n\r\n",
        ];
        lines.concat()
    };

    assert!(take(&body(16_384)).unwrap().complete);
    assert_eq!(take(&body(16_385)).unwrap_err().kind, FaultKind::TooLarge);
}

#[test]
fn nothing_is_taken_behind_the_end() {
    let mut body = Chunked::new();
    body.take(b"0\r\n\r\n").unwrap();

    let taken = body.take(b"GET").unwrap();

    assert_eq!((taken.bytes, taken.complete), (0, true));
}
