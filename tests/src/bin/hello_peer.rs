//! Somebody on the system bus: does what it is told, line by line in JSON, and says what came of it. See `hello_tests::Peer`.

use std::collections::HashMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};

use serde_json::{Value, json};
use tokio::sync::mpsc;
use zbus::wire::StructureBuilder;
use zbus::{Connection, DBusError, Structure, Variant};

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
    say(&json!({ "name": connection.unique_name().map(|name| name.as_str()) }))?;
    while let Some(order) = orders.recv().await {
        let order: Value = serde_json::from_str(&order)?;
        let answer = if order["call"].is_string() {
            call(&connection, &order, &mut files).await
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
        let mut body = StructureBuilder::new();
        for one in arguments {
            body.push_value(argument(one)?);
        }
        connection.call_method(to, path, Some(interface), member, &body.build()?).await?
    };
    let body = reply.body();
    if body.is_empty() {
        return Ok(json!({ "reply": [] }));
    }
    let fields: Structure<'_> = body.deserialize()?;
    let fields: Result<Vec<Value>, _> = fields.fields().iter().map(|field| plain(field, files)).collect();
    Ok(json!({ "reply": fields? }))
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
        ("()", ..) => {
            let mut fields = StructureBuilder::new();
            for field in value.as_array().ok_or("(): a list of arguments")? {
                fields.push_value(argument(field)?);
            }
            fields.build()?.into()
        }
        _ => return Err(format!("not an argument: {kind} {value}").into()),
    })
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
            let file: OwnedFd = std::os::fd::AsFd::as_fd(file).try_clone_to_owned()?;
            let number = i64::from(file.as_raw_fd());
            files.insert(number, file);
            json!({ "fd": number })
        }
    })
}

fn list(values: &[Variant<'_>], files: &mut Files) -> Result<Value, Box<dyn Error>> {
    values.iter().map(|value| plain(value, files)).collect::<Result<Vec<_>, _>>().map(Value::Array)
}
