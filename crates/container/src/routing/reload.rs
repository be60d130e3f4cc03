//! A router's file that is read again while calls go on: a text with a mistake in it changes nothing.

use std::sync::Arc;

use super::dar::DarError;
use super::default_router::DefaultApplicationRouter;

/// The last text that was good, and the last that was read.
#[derive(Clone, Debug)]
pub struct Reload {
    text: String,
    router: Arc<DefaultApplicationRouter>,
    mistake: Option<DarError>,
}

/// What has come of reading the file again.
#[derive(Clone, Debug)]
pub enum Reloaded {
    /// It is as it was.
    Unchanged,
    /// Give this router to every shard.
    Changed(Arc<DefaultApplicationRouter>),
    /// There is a mistake in it; the router that is there goes on. Told once for each text.
    Refused(DarError),
}

impl Reload {
    /// With the first text of the file.
    pub fn new(text: String) -> Result<Reload, DarError> {
        let router = Arc::new(DefaultApplicationRouter::read(&text)?);
        Ok(Reload { text, router, mistake: None })
    }

    /// The router of the last text that was good.
    pub fn router(&self) -> &Arc<DefaultApplicationRouter> {
        &self.router
    }

    /// What is wrong with the text that was read last.
    pub fn mistake(&self) -> Option<&DarError> {
        self.mistake.as_ref()
    }

    /// The file was read again.
    pub fn again(&mut self, text: String) -> Reloaded {
        if text == self.text {
            return Reloaded::Unchanged;
        }
        let read = DefaultApplicationRouter::read(&text);
        self.text = text;
        match read {
            Ok(router) => {
                self.router = Arc::new(router);
                self.mistake = None;
                Reloaded::Changed(Arc::clone(&self.router))
            }
            Err(mistake) => {
                self.mistake = Some(mistake.clone());
                Reloaded::Refused(mistake)
            }
        }
    }
}
