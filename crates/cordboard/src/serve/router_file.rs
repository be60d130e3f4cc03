//! The application router's file, read again when it changes. One with a mistake in it changes nothing.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use container::routing::{Reload, Reloaded};
use servlet::SipApplicationRouter;

use crate::config::Config;
use crate::hosting::Hosting;
use crate::worker::Control;

/// See the module's text.
pub(super) struct RouterFile {
    file: PathBuf,
    reload: Reload,
    seen: Option<(SystemTime, u64)>,
}

impl RouterFile {
    /// How often the file is looked at.
    pub(super) const PERIOD: Duration = Duration::from_secs(2);

    /// The file that the configuration names, if it names one.
    pub(super) fn of(config: &Config, hosting: &Hosting) -> Option<RouterFile> {
        let (file, reload) = (config.router.dar.clone()?, hosting.router_file.clone()?);
        // What has changed since it was read is found at the first look: the text decides.
        Some(RouterFile { file, reload, seen: None })
    }

    /// Looks at the file, and gives the shards a new router when there is one.
    pub(super) fn look(&mut self, hosting: &Hosting, control: &Control) {
        let about = std::fs::metadata(&self.file).and_then(|about| Ok((about.modified()?, about.len())));
        // Who replaces a file may remove it for a moment.
        let Ok(about) = about else { return };
        if self.seen == Some(about) {
            return;
        }
        self.seen = Some(about);
        let text = match std::fs::read_to_string(&self.file) {
            Ok(text) => text,
            Err(error) => {
                tracing::error!(%error, file = %self.file.display(), "the application router's file can't be read");
                return;
            }
        };
        match self.reload.again(text) {
            Reloaded::Unchanged => {}
            Reloaded::Changed(router) => {
                let router: Arc<dyn SipApplicationRouter> = router;
                control.route(&router);
                hosting.warn_of_router(&self.reload);
                tracing::info!(file = %self.file.display(), "the application router has a new file");
            }
            Reloaded::Refused(error) => {
                tracing::error!(%error, file = %self.file.display(), "refused; the last good one goes on");
            }
        }
    }
}
