//! Sends somebody a line in a chat, and waits for what comes back and for the word that the line has arrived.

#![allow(clippy::print_stdout, reason = "an example talks to whoever runs it")]

use cordboard::client::{Data, Engine, Streams, settings::Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Result<[String; 2], _> = std::env::args().skip(1).collect::<Vec<_>>().try_into();
    let [whom, what] = arguments.map_err(|_| "usage: chat URI LINE")?;
    let engine = Engine::start(Settings::default()).await?;
    let session = engine.default_account().await?.session();
    session.connect(&whom, Streams::chat()).await?;
    let line = session.send_message(&what, "text/plain").await?;
    let (mut has_arrived, mut reply) = (false, None);
    while let Some(notification) = session.notifications().next().await {
        match notification.data {
            Data::SessionDidDeliverMessage { message_id, .. } => has_arrived |= message_id == line,
            Data::SessionGotMessage { content, .. } => reply = Some(String::from_utf8(content.to_vec())?),
            Data::SessionDidNotDeliverMessage { code, reason, .. } => return Err(format!("{code} {reason}").into()),
            Data::SessionDidFail { reason, .. } => return Err(reason.to_string().into()),
            _ => {}
        }
        if let (true, Some(reply)) = (has_arrived, &reply) {
            println!("{reply}");
            break;
        }
    }
    engine.stop(std::time::Duration::from_secs(3)).await;
    Ok(())
}
