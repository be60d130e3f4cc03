//! Session-Expires and Min-SE, RFC 4028 §4, §5. The session timer itself: `sip-dialog`.

use std::fmt;

use super::{Malformed, typed_header};
use crate::grammar::Cursor;
use crate::param::{Param, Params};

/// Which side refreshes a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refresher {
    /// The user agent that sent the request.
    Uac,
    /// The user agent that answers it.
    Uas,
}

/// After how many seconds without a refresh a session ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionExpires<'a> {
    seconds: u32,
    params: Params<'a>,
}

/// The least session interval in seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MinSe<'a> {
    seconds: u32,
    params: Params<'a>,
}

impl<'a> SessionExpires<'a> {
    /// An interval, and perhaps who refreshes.
    pub fn new(seconds: u32, refresher: Option<Refresher>) -> SessionExpires<'a> {
        let mut params = Params::new();
        if let Some(refresher) = refresher {
            params.put("refresher", Some(refresher.as_str()));
        }
        SessionExpires { seconds, params }
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<SessionExpires<'a>, Malformed> {
        let seconds = cursor.number()?;
        let params = Params::read(cursor, check_refresher)?;
        Ok(SessionExpires { seconds, params })
    }

    /// The interval in seconds.
    pub fn seconds(&self) -> u32 {
        self.seconds
    }

    /// Who refreshes, when it is said.
    pub fn refresher(&self) -> Option<Refresher> {
        self.params.value("refresher").and_then(Refresher::from_token)
    }

    /// The parameters.
    pub fn params(&self) -> &Params<'a> {
        &self.params
    }
}

impl<'a> MinSe<'a> {
    /// An interval.
    pub fn new(seconds: u32) -> MinSe<'a> {
        MinSe { seconds, params: Params::new() }
    }

    pub(super) fn read(cursor: &mut Cursor<'a>) -> Result<MinSe<'a>, Malformed> {
        let seconds = cursor.number()?;
        let params = Params::read(cursor, |_, _| Ok(()))?;
        Ok(MinSe { seconds, params })
    }

    /// The interval in seconds.
    pub fn seconds(&self) -> u32 {
        self.seconds
    }
}

impl Refresher {
    /// `uac` or `uas`.
    pub fn as_str(self) -> &'static str {
        match self {
            Refresher::Uac => "uac",
            Refresher::Uas => "uas",
        }
    }

    fn from_token(token: &str) -> Option<Refresher> {
        [Refresher::Uac, Refresher::Uas].into_iter().find(|refresher| refresher.as_str().eq_ignore_ascii_case(token))
    }
}

typed_header!(SessionExpires, false);
typed_header!(MinSe, false);

impl fmt::Display for SessionExpires<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.seconds, self.params)
    }
}

impl fmt::Display for MinSe<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.seconds, self.params)
    }
}

fn check_refresher(param: Param<'_>, at: usize) -> Result<(), Malformed> {
    if !param.name.eq_ignore_ascii_case("refresher") || param.value.and_then(Refresher::from_token).is_some() {
        return Ok(());
    }
    Err(Malformed::new("uac or uas as refresher", at))
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn session_intervals_read_and_print() {
        let value: SessionExpires = assert_prints("4000 ;refresher=UAC", "4000;refresher=UAC");
        assert_eq!((value.seconds(), value.refresher()), (4000, Some(Refresher::Uac)));
        let built = SessionExpires::new(1800, Some(Refresher::Uas));
        assert_eq!(assert_prints::<SessionExpires>("1800;refresher=uas", "1800;refresher=uas"), built);
        assert_eq!(assert_prints::<MinSe>("3600", "3600"), MinSe::new(3600));
        assert_prints::<MinSe>("90;lr=1", "90;lr=1");
    }

    #[test]
    fn what_is_no_interval_is_refused() {
        assert_refuses::<SessionExpires>(&["", "soon", "90;refresher=both", "90;refresher", "4294967296", "90 s"]);
        assert_refuses::<MinSe>(&["", "x", "90, 91"]);
    }
}
