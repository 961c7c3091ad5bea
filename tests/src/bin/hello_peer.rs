//! Somebody on the system bus: does what it is told, line by line in JSON, and says what came of it. See `hello_tests::Peer`.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt;
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use serde_json::{Value, json};
use tokio::sync::mpsc;
use zbus::message::{Flags, Message};
use zbus::wire::StructureBuilder;
use zbus::{Connection, DBusError, MessageStream, Structure, Variant};

fn main() -> Result<(), Box<dyn Error>> {
    let (to_us, orders) = mpsc::channel(1);
    // Reading blocks: on a thread of its own, so that the connection goes on answering meanwhile.
    std::thread::spawn(move || {
        for line in io::stdin().lines().map_while(Result::ok) {
            if to_us.blocking_send(line).is_err() {
                return;
            }
        }
    });
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(obey(orders))
}

async fn obey(mut orders: mpsc::Receiver<String>) -> Result<(), Box<dyn Error>> {
    let connection = Connection::system().await?;
    let mut files = HashMap::new();
    let overheard = Arc::new(Mutex::new(Overheard::default()));
    say(&json!({ "name": connection.unique_name().map(|name| name.as_str()) }))?;
    while let Some(order) = orders.recv().await {
        let order: Value = serde_json::from_str(&order)?;
        let answer = if order["flood"].is_u64() {
            flood(&connection, &order).await
        } else if order["call"].is_string() {
            call(&connection, &order, &mut files).await
        } else if order["monitor"].is_boolean() {
            monitor(&overheard).await
        } else if order["overheard"].is_string() {
            Ok(overheard.lock().unwrap_or_else(PoisonError::into_inner).told(text(&order["overheard"])?))
        } else if order["raw"].is_array() {
            raw(&order)
        } else {
            write(&order, &mut files)
        };
        say(&answer.unwrap_or_else(|error| described(&*error)))?;
    }
    Ok(())
}

fn say(answer: &Value) -> io::Result<()> {
    let mut stdout = io::stdout();
    writeln!(stdout, "{answer}")?;
    stdout.flush()
}

fn described(error: &(dyn Error + 'static)) -> Value {
    match error.downcast_ref() {
        Some(zbus::Error::MethodError(name, text, _)) => json!({ "error": name.as_str(), "message": text }),
        Some(zbus::Error::FDO(error)) => {
            json!({ "error": error.name().as_str(), "message": DBusError::description(error) })
        }
        _ => json!({ "error": "peer", "message": error.to_string() }),
    }
}

type Files = HashMap<i64, OwnedFd>;

async fn call(connection: &Connection, order: &Value, files: &mut Files) -> Result<Value, Box<dyn Error>> {
    let (interface, member) = text(&order["call"])?.rsplit_once('.').ok_or("call: interface.member")?;
    let arguments = order["arguments"].as_array().ok_or("arguments: a list")?;
    let (to, path) = (Some(text(&order["to"])?), text(&order["path"])?);
    let reply = if arguments.is_empty() {
        connection.call_method(to, path, Some(interface), member, &()).await?
    } else {
        connection.call_method(to, path, Some(interface), member, &structure(arguments)?).await?
    };
    let body = reply.body();
    if body.is_empty() {
        return Ok(json!({ "reply": [] }));
    }
    let fields: Structure<'_> = body.deserialize()?;
    let fields: Result<Vec<Value>, _> = fields.fields().iter().map(|field| plain(field, files)).collect();
    Ok(json!({ "reply": fields? }))
}

/// Sends a call again and again and waits for no answer.
async fn flood(connection: &Connection, order: &Value) -> Result<Value, Box<dyn Error>> {
    let (interface, member) = text(&order["call"])?.rsplit_once('.').ok_or("call: interface.member")?;
    let arguments = order["arguments"].as_array().ok_or("arguments: a list")?;
    let mut sent = 0;
    for _ in 0..order["flood"].as_u64().unwrap_or(0) {
        let message = Message::method_call(text(&order["path"])?, member)
            .destination(text(&order["to"])?)
            .interface(interface)
            .with_flags(Flags::NO_REPLY_EXPECTED | Flags::NO_AUTO_START)
            .build(&structure(arguments)?)?;
        if connection.send(&message).await.is_err() {
            break;
        }
        sent += 1;
    }
    Ok(json!({ "sent": sent }))
}

/// What a monitor of the whole bus got: every message, and every descriptor, kept.
#[derive(Default)]
struct Overheard {
    messages: Vec<Message>,
    read: Vec<u8>,
}

impl Overheard {
    fn descriptors(&self) -> usize {
        self.messages.iter().map(|message| message.data().fds().len()).sum()
    }

    /// Reads every descriptor once more, and says what there is, and whether the needle was anywhere.
    fn told(&mut self, needle: &str) -> Value {
        for message in &self.messages {
            for file in message.data().fds() {
                read_what_is_there(file.as_fd(), &mut self.read);
            }
        }
        let has = |bytes: &[u8]| bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
        json!({
            "messages": self.messages.len(),
            "descriptors": self.descriptors(),
            "read": self.read.len(),
            "in_messages": self.messages.iter().any(|message| has(message.data().bytes())),
            "in_descriptors": has(&self.read),
        })
    }
}

fn read_what_is_there(file: impl AsFd, into: &mut Vec<u8>) {
    let mut piece = [0; 4096];
    let waits = fcntl_getfl(&file).and_then(|flags| fcntl_setfl(&file, flags | OFlags::NONBLOCK));
    while waits.is_ok() {
        match rustix::io::read(&file, &mut piece) {
            Ok(count) if count > 0 => into.extend_from_slice(&piece[..count]),
            _ => return,
        }
    }
}

/// Listens to everything on a connection of its own, for good.
async fn monitor(overheard: &Arc<Mutex<Overheard>>) -> Result<Value, Box<dyn Error>> {
    let connection = Connection::system().await?;
    let mut stream = MessageStream::from(&connection);
    zbus::fdo::MonitoringProxy::new(&connection).await?.become_monitor(&[], 0).await?;
    let overheard = Arc::clone(overheard);
    tokio::spawn(async move {
        while let Some(Ok(message)) = stream.next().await {
            let mut overheard = overheard.lock().unwrap_or_else(PoisonError::into_inner);
            for file in message.data().fds() {
                read_what_is_there(file.as_fd(), &mut overheard.read);
            }
            overheard.messages.push(message);
        }
        drop(connection);
    });
    Ok(json!({}))
}

/// Bytes straight to the bus, after the authentication. Says whether the bus hung up.
fn raw(order: &Value) -> Result<Value, Box<dyn Error>> {
    let mut stream = UnixStream::connect("/run/dbus/system_bus_socket")?;
    stream.set_read_timeout(Some(std::time::Duration::from_secs(2)))?;
    let digits: String =
        rustix::process::geteuid().as_raw().to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
    write!(stream, "\0AUTH EXTERNAL {digits}\r\n")?;
    let mut answer = [0; 256];
    let length = stream.read(&mut answer)?;
    if !answer[..length].starts_with(b"OK ") {
        return Err("the bus does not let it in".into());
    }
    stream.write_all(b"BEGIN\r\n")?;
    let octets: Vec<u8> = order["raw"].as_array().into_iter().flatten().filter_map(byte).collect();
    // The bus may hang up in the middle.
    let _ = stream.write_all(&octets);
    let mut rest = Vec::new();
    // Hanging up on what it has not read, the bus resets the connection.
    let hung_up = match stream.read_to_end(&mut rest) {
        Ok(_) => true,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    };
    Ok(json!({ "hung_up": hung_up, "answered": rest.len() }))
}

fn structure(arguments: &[Value]) -> Result<Structure<'static>, Box<dyn Error>> {
    let mut body = StructureBuilder::new();
    for one in arguments {
        body.push_value(argument(one)?);
    }
    Ok(body.build()?)
}

/// Writes to a descriptor of an answer, and closes it.
fn write(order: &Value, files: &mut Files) -> Result<Value, Box<dyn Error>> {
    let number = order["write"].as_i64().ok_or("write: the number of a descriptor")?;
    let bytes: Option<Vec<u8>> =
        order["bytes"].as_array().map(|bytes| bytes.iter().filter_map(byte).collect());
    let file = files.remove(&number).ok_or("no such descriptor")?;
    File::from(file).write_all(&bytes.ok_or("bytes: a list")?)?;
    Ok(json!({}))
}

fn byte(value: &Value) -> Option<u8> {
    value.as_u64().and_then(|byte| byte.try_into().ok())
}

fn text(value: &Value) -> Result<&str, Box<dyn Error>> {
    value.as_str().ok_or_else(|| format!("a text, not {value}").into())
}

/// `{"u": 7}` is the UINT32 7.
fn argument(value: &Value) -> Result<Variant<'static>, Box<dyn Error>> {
    let (kind, value) =
        value.as_object().and_then(|object| object.iter().next()).ok_or("an object with one key")?;
    Ok(match (kind.as_str(), value.as_u64(), value.as_i64(), value.as_bool()) {
        ("s", ..) => text(value)?.to_owned().into(),
        ("o", ..) => zbus::ObjectPath::try_from(text(value)?.to_owned())?.into(),
        ("y", Some(number), ..) => u8::try_from(number)?.into(),
        ("u", Some(number), ..) => u32::try_from(number)?.into(),
        ("t", Some(number), ..) => number.into(),
        ("i", _, Some(number), _) => i32::try_from(number)?.into(),
        ("x", _, Some(number), _) => number.into(),
        ("b", _, _, Some(truth)) => truth.into(),
        ("a{ss}", ..) => {
            let entries = value.as_object().ok_or("a{ss}: an object of texts")?;
            let pairs = entries.iter().map(|(key, value)| Ok((key.clone(), text(value)?.to_owned())));
            pairs.collect::<Result<HashMap<String, String>, Box<dyn Error>>>()?.into()
        }
        ("()", ..) => structure(value.as_array().ok_or("(): a list of arguments")?)?.into(),
        ("ay", Some(length), ..) => vec![b'a'; usize::try_from(length)?].into(),
        ("h", ..) => Variant::Fd(zbus::Fd::Owned(pipe_with(text(value)?)?)),
        ("w", ..) => Variant::Fd(zbus::Fd::Owned(unread_pipe()?)),
        _ => return Err(format!("not an argument: {kind} {value}").into()),
    })
}

/// The write end of a pipe from which nobody reads, for as long as this process lives.
fn unread_pipe() -> io::Result<OwnedFd> {
    let (read, write) = io::pipe()?;
    std::mem::forget(read);
    Ok(write.into())
}

/// The read end of a pipe that holds the text.
fn pipe_with(text: &str) -> Result<OwnedFd, Box<dyn Error>> {
    let (read, mut write) = io::pipe()?;
    write.write_all(text.as_bytes())?;
    Ok(read.into())
}

fn plain(value: &Variant<'_>, files: &mut Files) -> Result<Value, Box<dyn Error>> {
    Ok(match value {
        Variant::U8(number) => json!(number),
        Variant::Bool(truth) => json!(truth),
        Variant::I16(number) => json!(number),
        Variant::U16(number) => json!(number),
        Variant::I32(number) => json!(number),
        Variant::U32(number) => json!(number),
        Variant::I64(number) => json!(number),
        Variant::U64(number) => json!(number),
        Variant::F64(number) => json!(number),
        Variant::Str(text) => json!(text.as_str()),
        Variant::ObjectPath(path) => json!(path.as_str()),
        Variant::Signature(signature) => json!(signature.to_string()),
        Variant::Variant(inner) => plain(inner, files)?,
        Variant::Array(array) => list(array.inner(), files)?,
        Variant::Structure(structure) => list(structure.fields(), files)?,
        Variant::Dict(dict) => {
            let mut object = serde_json::Map::new();
            for (key, value) in dict.iter() {
                let key = plain(key, files)?;
                let key = key.as_str().map_or_else(|| key.to_string(), str::to_owned);
                object.insert(key, plain(value, files)?);
            }
            Value::Object(object)
        }
        Variant::Fd(file) => {
            let file: OwnedFd = file.as_fd().try_clone_to_owned()?;
            let number = i64::from(file.as_raw_fd());
            files.insert(number, file);
            json!({ "fd": number })
        }
    })
}

fn list(values: &[Variant<'_>], files: &mut Files) -> Result<Value, Box<dyn Error>> {
    values.iter().map(|value| plain(value, files)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}
