//! A hellod of tomorrow, which says what today's programs have never heard of. Its argument says what.

use std::collections::HashMap;
use std::error::Error;
use std::os::fd::OwnedFd as Descriptor;

use zbus::{OwnedVariant, Variant, connection, interface};

fn main() -> Result<(), Box<dyn Error>> {
    let words = std::env::args().nth(1).ok_or("what should it say?")?;
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(serve(words))
}

async fn serve(words: String) -> Result<(), Box<dyn Error>> {
    let (read, write) = hello_pipe()?;
    let _connection = connection::Builder::system()
        .serve_at("/org/hellod/Hello1", Login { words: words.clone() })
        .serve_at("/org/hellod/Hello1", Conversation { words, said: 0, write: Some(write) })
        .name("org.hellod.Hello1")
        .build()
        .await?;
    // The PIN stays in the pipe, whose reading end has to live.
    std::future::pending::<()>().await;
    drop(read);
    Ok(())
}

type Step = (u32, HashMap<String, OwnedVariant>);

struct Login {
    words: String,
}

#[interface(name = "org.hellod.Hello1.Login")]
impl Login {
    async fn begin(&self, _version: u32, _request: HashMap<String, String>) -> (u64, Step) {
        let step = match self.words.as_str() {
            "unknown-step" => step(7, [("text", "look into the camera".into())]),
            "unknown-role" => step(0, [("text", "PIN or password: ".into()), ("role", 77u32.into())]),
            "nothing-known" => step(0, [("picture", "cat".into())]),
            _ => step(1, [("text", "with a field of tomorrow".into()), ("colour", "green".into())]),
        };
        (1, step)
    }
}

struct Conversation {
    words: String,
    said: u32,
    write: Option<Descriptor>,
}

#[interface(name = "org.hellod.Hello1.Conversation")]
impl Conversation {
    async fn answer(&mut self, _conversation: u64, _answer: (u32, String)) -> Step {
        self.said += 1;
        if let Some(write) = self.write.take() {
            let prompt = [
                ("text", Variant::from("PIN or password: ")),
                ("role", 0u32.into()),
                ("shape", 0u32.into()),
                ("icon", "key".into()),
                ("pipe", zbus::Fd::from(write).into()),
            ];
            return step(0, prompt);
        }
        match self.words.as_str() {
            "unknown-step-later" => step(9, [("text", "now smile".into())]),
            _ => step(3, [("outcome", 99u32.into())]),
        }
    }
}

fn step<const N: usize>(kind: u32, fields: [(&str, Variant<'_>); N]) -> Step {
    let owned =
        |(name, value): (&str, Variant<'_>)| Some((name.to_owned(), OwnedVariant::try_from(value).ok()?));
    (kind, fields.into_iter().filter_map(owned).collect())
}

fn hello_pipe() -> Result<(Descriptor, Descriptor), Box<dyn Error>> {
    let (read, write) = std::io::pipe()?;
    Ok((read.into(), write.into()))
}
