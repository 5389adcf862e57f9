//! WebSocket messages over one stream, without any buffer while no message is in progress.
//!
//! Thousands of clients send nothing for minutes. Libraries keep a buffer for each of them, which
//! stays as large as the longest message so far. Here, memory is held only until a message has been
//! completely received or sent. Headers are read and written by `tungstenite`.

use std::{
    future::poll_fn,
    io::{self, Cursor},
    pin::Pin,
    task::ready,
};

use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf};
use tungstenite::protocol::frame::{
    FrameHeader,
    coding::{Control, Data, OpCode},
};

/// The number of bytes to read at a time, on the stack: a session description with its candidates
/// arrives in one or two reads.
const READ_BYTES: usize = 4 * 1024;
/// The longest control frame that RFC 6455 allows.
const MAX_CONTROL_BYTES: u64 = 125;

/// The server's end of a WebSocket.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    stream: S,
    max_message_bytes: usize,
    /// The bytes of an incomplete frame, and of the frames after it.
    unread: Vec<u8>,
    /// The fragments received so far of an incomplete message, and whether it is text.
    fragments: Option<(Data, Vec<u8>)>,
    frame_bytes: usize,
    /// The frame that is being sent, and how many of its bytes have been sent.
    unsent: Vec<u8>,
    sent: usize,
}

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Incoming {
    /// A text message.
    Text(String),
    /// A part of a message, which continues in a later frame.
    Part,
    /// A binary message; its content is not used.
    Binary,
    /// A ping, whose payload must be returned.
    Ping(Vec<u8>),
    /// An answer to a ping.
    Pong,
    /// The client closes the connection, and expects the same payload in return.
    Close(Vec<u8>),
}

/// Why nothing more can be read.
#[derive(Debug, Error)]
pub(crate) enum SocketError {
    /// A message exceeds the limit.
    #[error("a message of more than {0} bytes")]
    TooLong(usize),
    /// The client breaks the WebSocket protocol.
    #[error("{0}")]
    Protocol(&'static str),
    /// The stream is broken, or it ended without a close frame.
    #[error(transparent)]
    Stream(#[from] io::Error),
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Takes over a stream after the handshake. `read` holds the bytes that have already been read
    /// from it.
    pub(crate) fn new(stream: S, read: &[u8], max_message_bytes: usize) -> Self {
        Self {
            stream,
            max_message_bytes,
            unread: read.to_vec(),
            fragments: None,
            frame_bytes: 0,
            unsent: Vec::new(),
            sent: 0,
        }
    }

    /// Waits for the next frame from the client. Cancel-safe.
    pub(crate) async fn receive(&mut self) -> Result<Incoming, SocketError> {
        loop {
            if let Some(incoming) = self.take()? {
                return Ok(incoming);
            }
            if self.read().await? == 0 {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
        }
    }

    /// Sends a frame, which is a complete message. If a call was cancelled, the rest of its frame
    /// is sent before the next one.
    pub(crate) async fn send(&mut self, opcode: OpCode, payload: &[u8]) -> io::Result<()> {
        let header = FrameHeader { opcode, ..FrameHeader::default() };
        let length = payload.len() as u64;
        self.unsent.reserve(header.len(length) + payload.len());
        header.format(length, &mut self.unsent).map_err(io::Error::other)?;
        self.unsent.extend_from_slice(payload);
        while self.sent < self.unsent.len() {
            match self.stream.write(&self.unsent[self.sent..]).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.sent += written,
            }
        }
        (self.unsent, self.sent) = (Vec::new(), 0);
        self.stream.flush().await
    }

    /// Reads the bytes that are available, and waits if there are none.
    async fn read(&mut self) -> io::Result<usize> {
        poll_fn(|cx| {
            let mut space = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut space);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            self.unread.extend_from_slice(buffer.filled());
            Ok(buffer.filled().len()).into()
        })
        .await
    }

    /// Takes the next message, or part of one, from the bytes read so far, if its frame is
    /// complete.
    fn take(&mut self) -> Result<Option<Incoming>, SocketError> {
        let Some((header, payload)) = self.take_frame()? else { return Ok(None) };
        self.frame_bytes = payload.len();
        Ok(Some(match header.opcode {
            OpCode::Control(control) => incoming(control, payload),
            OpCode::Data(data) => {
                let (kind, message) = self.join(data, payload)?;
                if !header.is_final {
                    self.fragments = Some((kind, message));
                    Incoming::Part
                } else if kind == Data::Text {
                    let text = String::from_utf8(message);
                    Incoming::Text(
                        text.map_err(|_| SocketError::Protocol("text that is not UTF-8"))?,
                    )
                } else {
                    Incoming::Binary
                }
            }
        }))
    }

    /// The payload length of the last frame that [`receive`](Self::receive) returned.
    pub(crate) fn frame_bytes(&self) -> usize {
        self.frame_bytes
    }

    /// Appends a data frame to the earlier frames of the same message.
    fn join(&mut self, data: Data, payload: Vec<u8>) -> Result<(Data, Vec<u8>), SocketError> {
        match (data, self.fragments.take()) {
            (Data::Continue, Some((kind, mut message))) => {
                if message.len() + payload.len() > self.max_message_bytes {
                    return Err(SocketError::TooLong(self.max_message_bytes));
                }
                message.extend_from_slice(&payload);
                Ok((kind, message))
            }
            (Data::Text | Data::Binary, None) => Ok((data, payload)),
            _ => Err(SocketError::Protocol("a data frame out of sequence")),
        }
    }

    /// Takes the next frame from the bytes read so far, if it is complete. Nothing is kept of a
    /// frame that is too long.
    fn take_frame(&mut self) -> Result<Option<(FrameHeader, Vec<u8>)>, SocketError> {
        let mut cursor = Cursor::new(&self.unread);
        let parsed = FrameHeader::parse(&mut cursor);
        let parsed = parsed.map_err(|_| SocketError::Protocol("an invalid frame header"))?;
        let Some((header, length)) = parsed else { return Ok(None) };
        let start = cursor.position() as usize;
        check(&header, length)?;
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if length > self.max_message_bytes {
            return Err(SocketError::TooLong(self.max_message_bytes));
        }
        if self.unread.len() - start < length {
            return Ok(None);
        }
        let mut payload = self.unread[start..start + length].to_vec();
        let mask = header.mask.unwrap_or_default();
        for (byte, mask) in payload.iter_mut().zip(mask.into_iter().cycle()) {
            *byte ^= mask;
        }
        self.unread.drain(..start + length);
        if self.unread.is_empty() {
            // This frees the memory, too.
            self.unread = Vec::new();
        }
        Ok(Some((header, payload)))
    }
}

fn incoming(control: Control, payload: Vec<u8>) -> Incoming {
    match control {
        Control::Ping => Incoming::Ping(payload),
        Control::Pong => Incoming::Pong,
        Control::Close | Control::Reserved(_) => Incoming::Close(payload),
    }
}

/// Checks the header of a client's frame by the rules of RFC 6455.
fn check(header: &FrameHeader, length: u64) -> Result<(), SocketError> {
    let is_control = matches!(header.opcode, OpCode::Control(_));
    let rules = [
        (header.mask.is_some(), "a frame without a mask"),
        (!(header.rsv1 || header.rsv2 || header.rsv3), "a frame with reserved bits"),
        (!is_control || header.is_final, "a fragmented control frame"),
        (!is_control || length <= MAX_CONTROL_BYTES, "a control frame that is too long"),
    ];
    match rules.into_iter().find(|(is_met, _)| !is_met) {
        Some((_, broken)) => Err(SocketError::Protocol(broken)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::{collection::vec, prelude::*};
    use tokio::{
        io::{AsyncReadExt, Empty, duplex, empty},
        time::timeout,
    };

    use super::*;

    const MAX_BYTES: usize = 300;

    fn socket() -> Socket<Empty> {
        Socket::new(empty(), &[], MAX_BYTES)
    }

    /// Builds a client's frame.
    fn frame(opcode: OpCode, is_final: bool, payload: &[u8]) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let header = FrameHeader { opcode, is_final, mask: Some(mask), ..FrameHeader::default() };
        let mut bytes = Vec::new();
        header.format(payload.len() as u64, &mut bytes).expect("a vector takes all");
        bytes.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
        bytes
    }

    fn text(payload: &[u8]) -> Vec<u8> {
        frame(OpCode::Data(Data::Text), true, payload)
    }

    /// Reads everything that a client sends in these bytes, which arrive in pieces of `piece`
    /// bytes.
    fn read(bytes: &[u8], piece: usize) -> (Vec<Incoming>, Result<(), SocketError>) {
        let mut socket = socket();
        let mut heard = Vec::new();
        for piece in bytes.chunks(piece) {
            socket.unread.extend_from_slice(piece);
            loop {
                match socket.take() {
                    Ok(Some(Incoming::Part)) => {}
                    Ok(Some(incoming)) => heard.push(incoming),
                    Ok(None) => break,
                    Err(error) => return (heard, Err(error)),
                }
            }
        }
        (heard, Ok(()))
    }

    fn error(bytes: &[u8]) -> String {
        read(bytes, bytes.len()).1.expect_err("that is against the rules").to_string()
    }

    #[test]
    fn fragments_form_one_message_and_control_frames_between_them_are_read_at_once() {
        let frames = [
            frame(OpCode::Data(Data::Text), false, "gr".as_bytes()),
            frame(OpCode::Control(Control::Ping), true, b"there?"),
            // In the middle of a letter.
            frame(OpCode::Data(Data::Continue), false, &"ü".as_bytes()[..1]),
            frame(OpCode::Data(Data::Continue), true, &"üße".as_bytes()[1..]),
            frame(OpCode::Data(Data::Binary), true, &[7]),
        ];
        let (heard, end) = read(&frames.concat(), 1000);
        assert!(end.is_ok());
        let ping = Incoming::Ping(b"there?".to_vec());
        assert_eq!(heard, [ping, Incoming::Text("grüße".into()), Incoming::Binary]);
    }

    #[test]
    fn a_silent_client_costs_no_buffer() {
        let mut socket = socket();
        for length in [0, 1, 125, 126, MAX_BYTES] {
            let message = text(&vec![b'x'; length]);
            socket.unread.extend_from_slice(&message);
            assert_eq!(socket.take().unwrap(), Some(Incoming::Text("x".repeat(length))));
            assert_eq!(socket.unread.capacity(), 0);
        }
    }

    #[tokio::test]
    async fn the_rest_of_a_cancelled_send_is_sent_before_the_next_frame() {
        let (stream, mut client) = duplex(16);
        let mut socket = Socket::new(stream, &[], MAX_BYTES);
        let text = OpCode::Data(Data::Text);
        let long = socket.send(text, &[b'x'; 100]);
        assert!(timeout(Duration::from_millis(1), long).await.is_err(), "nobody reads");
        let (sent, heard) =
            tokio::join!(async { socket.send(text, b"end").await.map(|()| drop(socket)) }, async {
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).await.map(|_| heard)
            });
        sent.expect("somebody reads");
        let expected = [&[0x81, 100][..], &[b'x'; 100], &[0x81, 3], b"end"].concat();
        assert_eq!(heard.expect("the stream is sound"), expected);
    }

    #[test]
    fn nothing_is_kept_of_a_message_that_is_too_long() {
        let too_long = text(&[b'x'; MAX_BYTES + 1]);
        assert_eq!(error(&too_long[..8]), "a message of more than 300 bytes");
        let parts = [
            frame(OpCode::Data(Data::Text), false, &[b'x'; MAX_BYTES]),
            frame(OpCode::Data(Data::Continue), true, b"x"),
        ];
        assert_eq!(error(&parts.concat()), "a message of more than 300 bytes");
        // Longer than any memory.
        let endless = [0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert_eq!(error(&endless), "a message of more than 300 bytes");
    }

    #[test]
    fn frames_that_break_the_protocol_are_errors() {
        let ping = OpCode::Control(Control::Ping);
        let changed = |at: usize, bits: u8| {
            let mut bytes = text(b"hello");
            bytes[at] ^= bits;
            bytes
        };
        for (bytes, why) in [
            (changed(1, 0x80), "a frame without a mask"),
            (changed(0, 0x40), "a frame with reserved bits"),
            (changed(0, 0x02), "an invalid frame header"),
            (frame(ping, false, b""), "a fragmented control frame"),
            (frame(ping, true, &[0; 126]), "a control frame that is too long"),
            (text(&[0xff]), "text that is not UTF-8"),
            (frame(OpCode::Data(Data::Continue), true, b""), "a data frame out of sequence"),
            (
                [frame(OpCode::Data(Data::Text), false, b"a"), text(b"b")].concat(),
                "a data frame out of sequence",
            ),
        ] {
            assert_eq!(error(&bytes), why);
        }
    }

    proptest! {
        #[test]
        fn messages_do_not_depend_on_the_pieces_they_arrive_in(
            messages in vec(("[a-z]{0,140}", any::<bool>()), 0..5),
            piece in 1..200_usize,
        ) {
            let mut bytes = Vec::new();
            for (message, is_split) in &messages {
                if *is_split {
                    bytes.extend(frame(OpCode::Data(Data::Text), false, message.as_bytes()));
                    bytes.extend(frame(OpCode::Data(Data::Continue), true, b""));
                } else {
                    bytes.extend(text(message.as_bytes()));
                }
            }
            let (heard, end) = read(&bytes, piece);
            prop_assert!(end.is_ok());
            let said: Vec<_> =
                messages.into_iter().map(|(message, _)| Incoming::Text(message)).collect();
            prop_assert_eq!(heard, said);
        }

        #[test]
        fn any_bytes_are_read_without_panic_or_unbounded_memory(bytes in vec(any::<u8>(), 0..2000), piece in 1..2000_usize) {
            let mut socket = socket();
            for piece in bytes.chunks(piece) {
                socket.unread.extend_from_slice(piece);
                while let Ok(Some(_)) = socket.take() {}
                let kept = socket.fragments.as_ref().map_or(0, |(_, message)| message.len());
                prop_assert!(kept <= MAX_BYTES);
            }
        }
    }
}
