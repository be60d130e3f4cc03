//! Calls somebody, plays a file to him, and records what both say.

use cordboard::client::{Data, Engine, Streams, settings::Settings};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Result<[String; 3], _> = std::env::args().skip(1).collect::<Vec<_>>().try_into();
    let [callee, played, recorded] = arguments.map_err(|_| "usage: call_and_record URI PLAYED RECORDED")?;
    let engine = Engine::start(Settings::default()).await?;
    let session = engine.default_account().await?.session();
    session.connect(&callee, Streams::audio()).await?;
    while let Some(notification) = session.notifications().next().await {
        match notification.data {
            Data::SessionDidStart => {
                session.start_recording_audio(Some(std::path::absolute(&recorded)?)).await?;
                session.play(&played).await?;
            }
            Data::WavePlayerDidEnd { .. } => session.end().await?,
            _ => {}
        }
    }
    engine.stop(std::time::Duration::from_secs(3)).await;
    Ok(())
}
