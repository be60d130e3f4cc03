//! A session that is for one file (RFC 5547): who sends it proposes it and ends the session when it has arrived.
//!
//! ```text
//!   ours     NewOutgoing(file-transfer) ─ 2xx ─ bound ─ Progress … DidEnd ─ BYE
//!   theirs   NewIncoming(file-transfer) ─ accept ─ bound ─ Progress … DidEnd ─ (their BYE, or ours if none comes)
//! ```

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::core::Session;
use super::work::{Alarm, Work};
use crate::media::{ChatPurpose, FileDescription};
use crate::notification::Data;
use crate::settings::Settings;

/// How long a peer may take to end the session after its file has come.
const FAREWELL: Duration = Duration::from_secs(10);

/// The file of a session.
#[derive(Clone, Debug)]
pub(crate) struct FileTransfer {
    pub(super) description: Arc<FileDescription>,
    /// Where it is, if it is ours.
    pub(super) path: Option<PathBuf>,
    /// Whether the end of it was told.
    ended: bool,
}

impl FileTransfer {
    /// A file of ours.
    pub(super) fn outgoing(work: &mut Work<'_>, mut description: FileDescription, path: PathBuf) -> FileTransfer {
        if description.transfer_id.is_empty() {
            let random = work.endpoint.random();
            description.transfer_id = format!("{random:016x}{:016x}", work.endpoint.random()).into();
        }
        FileTransfer { description: Arc::new(description), path: Some(path), ended: false }
    }

    /// A file of the peer's.
    pub(super) fn incoming(description: FileDescription) -> FileTransfer {
        FileTransfer { description: Arc::new(description), path: None, ended: false }
    }
}

impl Session {
    /// What the stream of the file is for.
    pub(super) fn purpose_of_file(&self, work: &Work<'_>) -> ChatPurpose {
        let Some(file) = &self.file else { return ChatPurpose::Chat };
        let description = Arc::clone(&file.description);
        match file.path.clone() {
            Some(path) => ChatPurpose::SendFile { file: description, path },
            None => ChatPurpose::ReceiveFile { file: description, folder: folder(work.settings) },
        }
    }

    pub(super) fn file_goes_on(&mut self, work: &mut Work<'_>, transferred_bytes: u64, total_bytes: Option<u64>) {
        if self.file.as_ref().is_some_and(|file| !file.ended) {
            self.post(work, Data::FileTransferHandlerProgress { transferred_bytes, total_bytes });
        }
    }

    pub(super) fn file_ended(&mut self, work: &mut Work<'_>, file_name: Option<PathBuf>, error: Option<Arc<str>>) {
        let Some(file) = self.file.as_mut().filter(|file| !file.ended) else { return };
        file.ended = true;
        let is_ours = file.path.is_some();
        self.post(work, Data::FileTransferHandlerDidEnd { file_name, error: error.clone() });
        if is_ours || error.is_some() {
            self.end(work, error);
        } else {
            self.set_alarm(work, Alarm::Farewell, FAREWELL);
        }
    }

    /// The session ends; the file with it, if it has not arrived.
    pub(super) fn drop_file(&mut self, work: &mut Work<'_>, why: Option<Arc<str>>) {
        if let Some(file) = self.file.as_mut().filter(|file| !file.ended) {
            file.ended = true;
            let lost = self.lost.take().map(|(_, reason)| reason);
            let error = Some(lost.or(why).unwrap_or_else(|| "Session ended".into()));
            self.post(work, Data::FileTransferHandlerDidEnd { file_name: None, error });
        }
    }
}

/// The user's folder of downloads, unless the settings name another.
fn folder(settings: &Settings) -> PathBuf {
    settings.file_transfer.directory.clone().unwrap_or_else(|| PathBuf::from("~/Downloads"))
}
