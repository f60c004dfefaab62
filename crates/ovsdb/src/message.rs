//! Requests and answers: JSON-RPC 1.0 without a delimiter between messages (RFC 7047, 4).

use serde_json::{Value, json};
use std::fmt;

/// The database of ovs-vswitchd.
const DATABASE: &str = "Open_vSwitch";
/// The number of a request. There is one at a time.
const ID: u64 = 1;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request(Value);

impl Request {
    /// Asks for all of these operations, or none (RFC 7047, 4.1.3).
    pub fn transact(operations: Vec<Value>) -> Self {
        let params: Vec<Value> = std::iter::once(json!(DATABASE)).chain(operations).collect();
        Request(json!({"id": ID, "method": "transact", "params": params}))
    }

    /// As it goes over the stream.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.to_string().into_bytes()
    }
}

/// The answer to a request: what became of each operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer(Vec<Value>);

impl Answer {
    /// The rows of a `select`, by its place among the operations.
    pub fn rows(&self, operation: usize) -> &[Value] {
        self.0.get(operation).and_then(|result| result["rows"].as_array()).map_or(&[], Vec::as_slice)
    }

    /// The rows of the last operation, a `select`.
    pub(crate) fn last_rows(&self) -> &[Value] {
        self.0.len().checked_sub(1).map_or(&[], |last| self.rows(last))
    }

    /// How many rows an `update` or `mutate` found, by its place among the operations.
    pub fn count(&self, operation: usize) -> u64 {
        self.0.get(operation).and_then(|result| result["count"].as_u64()).unwrap_or_default()
    }
}

/// Why a transaction was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The operation, by its place; `None` if the transaction as a whole was.
    pub operation: Option<usize>,
    /// The server's words.
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// What came over the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Incoming {
    /// The answer.
    Answer(Result<Answer, Refused>),
    /// The server asks whether we live. These bytes are the answer.
    Echo(Vec<u8>),
    /// Nothing that was asked for.
    Other,
}

/// Bytes that are no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Garbled(pub String);

/// Cuts what comes over the stream into messages.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
}

impl Decoder {
    /// Adds what was read.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// How many bytes wait for the rest of their message.
    pub fn waiting(&self) -> usize {
        self.buffer.len()
    }

    /// The next message, once all of it is there.
    pub fn take(&mut self) -> Result<Option<Incoming>, Garbled> {
        let mut stream = serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Value>();
        let message = match stream.next() {
            None => return Ok(None),
            Some(Err(e)) if e.is_eof() => return Ok(None),
            Some(Err(e)) => return Err(Garbled(e.to_string())),
            Some(Ok(message)) => message,
        };
        let end = stream.byte_offset();
        self.buffer.drain(..end);
        Ok(Some(incoming(&message)))
    }
}

fn incoming(message: &Value) -> Incoming {
    if message["method"] == "echo" {
        let answer = json!({"id": message["id"], "result": message["params"], "error": null});
        return Incoming::Echo(answer.to_string().into_bytes());
    }
    if message["id"] != ID || !message["method"].is_null() {
        return Incoming::Other;
    }
    if !message["error"].is_null() {
        return Incoming::Answer(Err(Refused { operation: None, why: words(&message["error"]) }));
    }
    let results = message["result"].as_array().cloned().unwrap_or_default();
    // What comes behind an operation that fails is null, and an error of the commit is one result more.
    match results.iter().position(|result| !result["error"].is_null()) {
        Some(at) => Incoming::Answer(Err(Refused { operation: Some(at), why: words(&results[at]) })),
        None => Incoming::Answer(Ok(Answer(results))),
    }
}

/// An error as RFC 7047, 3.1 has it.
fn words(error: &Value) -> String {
    match (error["error"].as_str(), error["details"].as_str()) {
        (Some(error), Some(details)) => format!("{error}: {details}"),
        (Some(error), None) => error.to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Answers of ovsdb-server 3.1.0.
    const ROWS: &str = r#"{"id":1,"result":[{"rows":[{"name":"br0"}]},{"rows":[]}],"error":null}"#;
    const TIMED_OUT: &str =
        r#"{"id":1,"result":[{"details":"\"wait\" timed out","error":"timed out"},null],"error":null}"#;
    const ECHO: &str = r#"{"id":"echo","method":"echo","params":[]}"#;

    fn decoded(text: &str) -> Vec<Incoming> {
        let mut decoder = Decoder::default();
        decoder.push(text.as_bytes());
        std::iter::from_fn(|| decoder.take().unwrap()).collect()
    }

    #[test]
    fn a_request_is_one_json_value() {
        let request = Request::transact(vec![json!({"op": "select", "table": "Bridge", "where": []})]);
        let bytes = String::from_utf8(request.bytes()).unwrap();
        let expected =
            r#"{"id":1,"method":"transact","params":["Open_vSwitch",{"op":"select","table":"Bridge","where":[]}]}"#;
        assert_eq!(bytes, expected);
    }

    #[test]
    fn messages_follow_each_other_without_a_delimiter() {
        let all = decoded(&format!("{ECHO}{ROWS}{TIMED_OUT}"));
        let [Incoming::Echo(echo), Incoming::Answer(Ok(answer)), Incoming::Answer(Err(refused))] = &all[..] else {
            panic!("{all:?}")
        };
        assert_eq!(String::from_utf8_lossy(echo), r#"{"error":null,"id":"echo","result":[]}"#);
        assert_eq!((answer.rows(0).len(), answer.rows(1).len(), answer.rows(2).len()), (1, 0, 0));
        assert_eq!((refused.operation, refused.to_string()), (Some(0), "timed out: \"wait\" timed out".into()));
    }

    #[test]
    fn what_nobody_asked_for_is_passed_over() {
        let text = r#"{"id":7,"result":[],"error":null}{"id":null,"method":"update","params":[]}"#;
        assert_eq!(decoded(text), [Incoming::Other, Incoming::Other]);
    }

    proptest! {
        #[test]
        fn a_message_may_come_in_any_pieces(cut in 0..ROWS.len()) {
            let mut decoder = Decoder::default();
            decoder.push(&ROWS.as_bytes()[..cut]);
            prop_assert_eq!(decoder.take(), Ok(None));
            decoder.push(&ROWS.as_bytes()[cut..]);
            prop_assert!(matches!(decoder.take(), Ok(Some(Incoming::Answer(Ok(_))))));
            prop_assert_eq!(decoder.waiting(), 0);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let mut decoder = Decoder::default();
            decoder.push(&bytes);
            prop_assert!(!matches!(decoder.take(), Ok(Some(_))) || decoder.waiting() < bytes.len());
        }
    }
}
