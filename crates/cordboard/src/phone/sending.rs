//! `cordboard send-file`: a file, how far it is, and whether it has arrived.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use client::{Data, Notification, Sender};
use indicatif::{BinaryBytes, ProgressBar, ProgressStyle};

use super::args::SendFileArgs;
use super::call::{Call, Script};
use super::calling::conclude_calls;
use super::chat::{FAREWELL, is_watched};
use super::exit::Outcome;
use super::start::{Stop, Wishes, start};
use super::{json, lines, say};

/// How often the bar moves by itself.
const BEAT: Duration = Duration::from_millis(250);

/// How often a line tells how far it is, where there is no bar.
const TELLING: Duration = Duration::from_secs(5);

/// Sends a file, and says by its outcome how that went.
pub(super) async fn send_file(args: SendFileArgs) -> Result<Outcome, Stop> {
    let size = checked(&args.file).map_err(Stop::usage)?;
    let started = start(&args.account, &args.output, Wishes::default()).await?;
    let notifications = started.engine.notifications();
    let session = started.account.session();
    let mut sending = Sending {
        call: Call::new(session.clone()),
        json: args.output.json,
        size,
        bar: None,
        told: None,
        ended: None,
        farewell: None,
    };
    // Its hash goes before it (RFC 5547 §6): a long file takes its time.
    sending.wait(&format!("reading {}", args.file.display()));
    let begun = session.send_file_by(&args.to, started.routes.clone(), &args.file).await;
    sending.clear();
    begun?;
    let mut interrupted = false;
    while !sending.call.over {
        let farewell = sending.farewell;
        let gone = async {
            match farewell {
                Some(at) => tokio::time::sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            notification = notifications.next() => match notification {
                Some(notification) => sending.told(&notification),
                None => break,
            },
            // A peer that has gone does not answer our end.
            () = gone => break,
            _ = tokio::signal::ctrl_c() => {
                sending.call.over |= std::mem::replace(&mut interrupted, true);
                let _ = sending.call.session.end().await;
            }
        }
    }
    sending.clear();
    let Sending { call, ended, .. } = sending;
    let answered = call.findings.answered;
    let outcome = conclude_calls(started, &[call], interrupted, &Script::default(), Outcome::Done).await?;
    Ok(match ended {
        Some(Ok(())) => Outcome::Done,
        _ if interrupted => Outcome::Interrupted,
        // Who has not taken it at all has refused it, or was not there.
        _ if !answered && outcome != Outcome::Done => outcome,
        Some(Err(())) | None => Outcome::Broken,
    })
}

struct Sending {
    call: Call,
    json: bool,
    /// Its octets.
    size: u64,
    bar: Option<ProgressBar>,
    /// When it was said in a line how far it is.
    told: Option<Instant>,
    /// How the file ended.
    ended: Option<Result<(), ()>>,
    farewell: Option<tokio::time::Instant>,
}

impl Sending {
    fn told(&mut self, notification: &Notification) {
        if self.json {
            say(&json::line(notification));
        }
        let Sender::Session(id) = notification.sender else { return };
        if self.call.session.id().ok() != Some(id) {
            return;
        }
        let said = self.call.told(notification);
        let said = match &notification.data {
            Data::FileTransferHandlerProgress { transferred_bytes, total_bytes } => {
                return self.progress(*transferred_bytes, total_bytes.unwrap_or(self.size));
            }
            Data::FileTransferHandlerDidEnd { error, .. } => {
                self.clear();
                self.ended = Some(if error.is_none() { Ok(()) } else { Err(()) });
                match error {
                    None => said.map(|said| format!("{said} ({})", BinaryBytes(self.size))),
                    // Who has not taken it at all has said so with a code, which is told next.
                    Some(_) if !self.call.findings.answered => None,
                    Some(_) => said,
                }
            }
            Data::SessionWillEnd => {
                self.farewell = Some(tokio::time::Instant::now() + FAREWELL);
                said
            }
            _ => said,
        };
        if let (false, Some(said)) = (self.json, said) {
            match &self.bar {
                Some(bar) => bar.suspend(|| say(&said)),
                None => say(&said),
            }
        }
    }

    fn progress(&mut self, transferred: u64, total: u64) {
        if self.json {
            return;
        }
        if is_watched() {
            return self.bar.get_or_insert_with(|| bar(total)).set_position(transferred);
        }
        let told = self.told.get_or_insert_with(Instant::now);
        if told.elapsed() >= TELLING {
            *told = Instant::now();
            let percent = transferred.saturating_mul(100) / total.max(1);
            say(&format!("{percent} % ({} of {})", BinaryBytes(transferred), BinaryBytes(total)));
        }
    }

    /// Shows that something is going on.
    fn wait(&mut self, what: &str) {
        if !self.json && is_watched() {
            let spinner = ProgressBar::new_spinner().with_message(lines::printable(what));
            spinner.enable_steady_tick(BEAT);
            self.bar = Some(spinner);
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

fn bar(total: u64) -> ProgressBar {
    let bar = ProgressBar::new(total);
    let look = "{percent:>3} % {wide_bar} {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta}";
    bar.set_style(ProgressStyle::with_template(look).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(BEAT);
    bar
}

/// The octets of a file that can be sent, or why it can't be.
fn checked(file: &Path) -> Result<u64, String> {
    let name = file.display();
    let about = fs::metadata(file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("there is no file {name}"),
        _ => format!("{name} can't be read: {error}"),
    })?;
    match about.len() {
        _ if about.is_dir() => Err(format!("{name} is a folder; one file is sent at a time")),
        _ if !about.is_file() => Err(format!("{name} is no file, but a device or the like")),
        // RFC 4975 §7.1: a SEND without octets says nothing.
        0 => Err(format!("{name} is empty: there is nothing to send")),
        size => File::open(file).map(|_| size).map_err(|error| format!("{name} can't be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_file_is_refused_before_anybody_is_called() {
        let folder = std::env::temp_dir().join(format!("cordboard-sending-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let empty = folder.join("empty");
        fs::write(&empty, "").unwrap();
        let why = |path: &Path| checked(path).unwrap_err();
        assert!(why(&folder.join("nothing")).starts_with("there is no file "));
        assert!(why(&folder).contains("is a folder"));
        assert!(why(&empty).contains("is empty"));
        assert!(why(Path::new("/dev/null")).contains("is no file"));
        fs::write(&empty, "x").unwrap();
        assert_eq!(checked(&empty), Ok(1));
        fs::remove_dir_all(&folder).unwrap();
    }
}
