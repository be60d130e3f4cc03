//! Geolocation and Geolocation-Routing, RFC 6442 §4.1, §4.2.

use super::shapes::{any_param, reference_header, token, word_header};

reference_header! {
    /// Where a location is to be had: in the body (`cid:`) or by reference.
    Geolocation
}

word_header! {
    /// Whether the location may be used to route the request.
    GeolocationRouting, false,
    /// `yes`, `no` or another word.
    value, token, any_param
}

impl GeolocationRouting<'_> {
    /// Whether it may; only "yes" says so.
    pub fn is_allowed(&self) -> bool {
        self.value.eq_ignore_ascii_case("yes")
    }
}

#[cfg(test)]
mod tests {
    use super::super::{assert_prints, assert_refuses};
    use super::*;

    #[test]
    fn locations_read_and_print() {
        let text = "<cid:target123@atlanta.example.com>";
        assert_eq!(assert_prints::<Geolocation>(text, text).uri().scheme(), "cid");
        assert!(assert_prints::<GeolocationRouting>("Yes", "Yes").is_allowed());
        assert!(!assert_prints::<GeolocationRouting>("no ;x=y", "no;x=y").is_allowed());
    }

    #[test]
    fn what_is_no_location_is_refused() {
        assert_refuses::<Geolocation>(&["", "cid:a@b"]);
        assert_refuses::<GeolocationRouting>(&["", "yes no"]);
    }
}
