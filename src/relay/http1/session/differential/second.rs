//! hyper as one more reader: what it makes of bytes that were passed on.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Incoming};
use hyper::header::HeaderValue;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode, client, server};

use super::strict::Message;

/// A message as hyper hands it to a program.
#[derive(Clone, Debug, Default)]
pub(super) struct Found {
    /// Method and target, or the status.
    pub(super) start: Vec<String>,
    pub(super) fields: HeaderMap,
    pub(super) payload: Vec<u8>,
    /// Whether the body was complete.
    pub(super) whole: bool,
}

/// A connection on which all bytes have arrived, then its end. What is written
/// to it is lost.
struct Recorded {
    bytes: Vec<u8>,
    at: usize,
    /// Whether nothing arrives before something was written.
    waits: bool,
}

/// The requests that a server of hyper finds, and why it stopped if not at the
/// end.
pub(super) fn requests(bytes: &[u8]) -> (Vec<Found>, Result<(), String>) {
    let found = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let found = Rc::clone(&found);
        async move {
            let (head, body) = request.into_parts();
            let is_connect = head.method == Method::CONNECT;
            found.borrow_mut().push(Found {
                start: vec![head.method.to_string(), head.uri.to_string()],
                fields: head.headers,
                ..Found::default()
            });
            let (payload, whole) = read(body).await;
            if let Some(last) = found.borrow_mut().last_mut() {
                (last.payload, last.whole) = (payload, whole);
            }
            let mut response = Response::new(String::new());
            if is_connect {
                *response.status_mut() = StatusCode::FORBIDDEN;
            }
            Ok::<_, Infallible>(response)
        }
    });
    let connection = server::conn::http1::Builder::new()
        .half_close(true)
        .max_headers(1_000)
        .serve_connection(Recorded::new(bytes, false), service);
    let end = finish(connection, bytes.len());
    let read = end.map_err(|error| error.to_string());
    (found.take(), read)
}

/// The reply that a client of hyper finds, which asked with that method.
///
/// # Errors
///
/// Why it finds none.
pub(super) fn reply(bytes: &[u8], method: &[u8]) -> Result<Found, String> {
    let method = Method::from_bytes(method).map_err(|error| error.to_string())?;
    let exchange = async {
        let io = Recorded::new(bytes, true);
        let (mut sender, connection) = client::conn::http1::Builder::new()
            .max_headers(1_000)
            .handshake(io)
            .await?;
        let mut request = Request::new(String::new());
        *request.method_mut() = method;
        let asked = async {
            let (head, body) = sender.send_request(request).await?.into_parts();
            let (payload, whole) = read(body).await;
            drop(sender);
            Ok::<_, hyper::Error>(Found {
                start: vec![head.status.as_str().to_owned()],
                fields: head.headers,
                payload,
                whole,
            })
        };
        let (found, end) = both(asked, connection).await;
        match (found, end) {
            (Ok(found), Err(_)) if !found.whole => Ok(found),
            (found, end) => end.and(found),
        }
    };
    finish(exchange, bytes.len()).map_err(|error| error.to_string())
}

impl Found {
    /// Whether it is that message; a body that breaks off, as far as it goes.
    pub(super) fn is(&self, message: &Message) -> bool {
        let body = match message.whole || !message.is_framed() {
            true => self.whole && self.payload == message.payload,
            false => !self.whole && message.payload.starts_with(&self.payload),
        };
        body && self.has_fields(&message.fields)
    }

    /// Whether these are its fields, for each name in that order.
    pub(super) fn has_fields(&self, fields: &[(Vec<u8>, Vec<u8>)]) -> bool {
        self.fields.len() == fields.len()
            && self.fields.keys().all(|name| {
                let theirs = self.fields.get_all(name).iter();
                let ours = fields
                    .iter()
                    .filter(|field| field.0.eq_ignore_ascii_case(name.as_str().as_bytes()));
                theirs
                    .map(HeaderValue::as_bytes)
                    .eq(ours.map(|field| &field.1[..]))
            })
    }
}

/// The data of a body, and whether it came to its end.
async fn read(mut body: Incoming) -> (Vec<u8>, bool) {
    let mut payload = Vec::new();
    loop {
        match poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            None => return (payload, true),
            Some(Err(_)) => return (payload, false),
            Some(Ok(frame)) => {
                if let Some(data) = frame.data_ref() {
                    payload.extend_from_slice(data);
                }
            }
        }
    }
}

/// Both results, while both go on.
async fn both<A: Future, B: Future>(first: A, second: B) -> (A::Output, B::Output) {
    let (mut first, mut second) = (pin!(first), pin!(second));
    let (mut one, mut other) = (None, None);
    poll_fn(move |context| {
        if one.is_none()
            && let Poll::Ready(output) = first.as_mut().poll(context)
        {
            one = Some(output);
        }
        if other.is_none()
            && let Poll::Ready(output) = second.as_mut().poll(context)
        {
            other = Some(output);
        }
        match (one.take(), other.take()) {
            (Some(one), Some(other)) => Poll::Ready((one, other)),
            (first, second) => {
                (one, other) = (first, second);
                Poll::Pending
            }
        }
    })
    .await
}

/// Drives what only waits for itself.
fn finish<F: Future>(future: F, bytes: usize) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..bytes + 1_000 {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
    }
    panic!("hyper waits for something");
}

impl Recorded {
    fn new(bytes: &[u8], waits: bool) -> Self {
        let (bytes, at) = (bytes.to_vec(), 0);
        Self { bytes, at, waits }
    }
}

impl Read for Recorded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut room: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.waits {
            return Poll::Pending;
        }
        let piece = &self.bytes[self.at..];
        let piece = &piece[..piece.len().min(room.remaining())];
        room.put_slice(piece);
        self.at += piece.len();
        Poll::Ready(Ok(()))
    }
}

impl Write for Recorded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.waits = false;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
