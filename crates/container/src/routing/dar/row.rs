//! The value of a key: rows in parentheses, commas between them; in a row strings in quotes, commas between them.

use servlet::{RoutingRegion, SipRouteModifier};
use sip_message::{Method, NameAddr, NameAddrBuf, Uri};

use super::properties::{Place, Property, Spot};
use super::{DarError, DarMistake, DarOption, DarRow, Direction, Subscriber};

type Result<T> = std::result::Result<T, DarError>;

/// The rows of a key, in the file's order; at least one.
pub(super) fn rows(property: &Property) -> Result<Vec<DarRow>> {
    let mut cursor = Cursor { rest: &property.value, end: property.end };
    let mut rows = Vec::new();
    loop {
        let place = cursor.expect('(', "`(` before a row")?;
        let mut fields = Vec::new();
        loop {
            fields.push(cursor.string()?);
            match cursor.next() {
                Some(spot) if spot.character == ',' => {}
                Some(spot) if spot.character == ')' => break,
                other => return Err(cursor.expected("`,` or `)` behind a string", other)),
            }
        }
        rows.push(row(place, &fields)?);
        match cursor.next() {
            None => return Ok(rows),
            Some(spot) if spot.character == ',' => {}
            other => return Err(cursor.expected("`,` or the line's end behind a row", other)),
        }
    }
}

/// What has not been read of a value.
struct Cursor<'p> {
    rest: &'p [Spot],
    /// Where the value ends.
    end: Place,
}

impl Cursor<'_> {
    /// The next character that is not white space.
    fn next(&mut self) -> Option<Spot> {
        loop {
            let (spot, rest) = self.rest.split_first()?;
            self.rest = rest;
            if !spot.character.is_whitespace() {
                return Some(*spot);
            }
        }
    }

    fn expect(&mut self, wanted: char, expected: &'static str) -> Result<Place> {
        match self.next() {
            Some(spot) if spot.character == wanted => Ok(spot.place),
            other => Err(self.expected(expected, other)),
        }
    }

    fn expected(&self, expected: &'static str, found: Option<Spot>) -> DarError {
        let place = found.map_or(self.end, |spot| spot.place);
        DarError::new(place, DarMistake::Expected { expected, found: found.map(|spot| spot.character) })
    }

    /// A string in quotes; none has a quote in it.
    fn string(&mut self) -> Result<Field> {
        let place = self.expect('"', "a string in quotes")?;
        let Some(length) = self.rest.iter().position(|spot| spot.character == '"') else {
            return Err(self.expected("a quote behind the string", None));
        };
        let (text, rest) = self.rest.split_at(length);
        self.rest = rest.get(1..).unwrap_or_default();
        Ok(Field { text: text.iter().map(|spot| spot.character).collect(), place })
    }
}

/// A string of a row.
struct Field {
    text: String,
    /// Where it starts.
    place: Place,
}

impl Field {
    fn wrong(&self, field: &'static str, expected: &'static str) -> DarError {
        DarError::new(self.place, DarMistake::Value { field, expected, found: self.text.clone() })
    }
}

fn row(place: Place, fields: &[Field]) -> Result<DarRow> {
    let (fields, options) = match fields {
        [first @ .., options] if first.len() == 6 => (first, Some(options)),
        _ => (fields, None),
    };
    let [app, subscriber, region, route, modifier, order] = fields else {
        return Err(DarError::new(place, DarMistake::Fields(fields.len())));
    };
    if app.text.trim().is_empty() {
        return Err(app.wrong("the first string", "an application's name"));
    }
    let modifier = self::modifier(modifier)?;
    let (direction, ignored) = options.map_or(Ok((None, Vec::new())), self::options)?;
    Ok(DarRow {
        app: app.text.clone(),
        subscriber: self::subscriber(subscriber)?,
        region: self::region(region)?,
        route: self::route(route, modifier)?,
        modifier,
        order: order.text.trim().parse().map_err(|_| order.wrong("the order", "a number"))?,
        direction,
        ignored,
        line: place.line,
    })
}

fn subscriber(field: &Field) -> Result<Subscriber> {
    let Some(name) = field.text.strip_prefix("DAR:") else {
        return Ok(Subscriber::Literal(field.text.clone()));
    };
    // A header's name is a token, as a method is (RFC 3261 §25.1).
    match Method::parse(name) {
        Some(_) => Ok(Subscriber::Header(name.to_owned())),
        None => Err(field.wrong("the subscriber", "a header's name behind DAR:")),
    }
}

fn region(field: &Field) -> Result<RoutingRegion> {
    match field.text.as_str() {
        "ORIGINATING" => Ok(RoutingRegion::ORIGINATING),
        "NEUTRAL" => Ok(RoutingRegion::NEUTRAL),
        "TERMINATING" => Ok(RoutingRegion::TERMINATING),
        _ => Err(field.wrong("the region", "ORIGINATING, NEUTRAL or TERMINATING")),
    }
}

fn modifier(field: &Field) -> Result<SipRouteModifier> {
    match field.text.as_str() {
        "ROUTE" => Ok(SipRouteModifier::Route),
        "ROUTE_BACK" => Ok(SipRouteModifier::RouteBack),
        "NO_ROUTE" => Ok(SipRouteModifier::NoRoute),
        _ => Err(field.wrong("the route modifier", "ROUTE, ROUTE_BACK or NO_ROUTE")),
    }
}

/// A URI, or a URI in `<>`. Parameters of one without `<>` are its own: there is no header round it here.
fn route(field: &Field, modifier: SipRouteModifier) -> Result<Option<NameAddrBuf>> {
    let text = field.text.trim();
    if text.is_empty() {
        return match modifier {
            SipRouteModifier::NoRoute => Ok(None),
            _ => Err(field.wrong("the route", "a SIP URI, for a modifier other than NO_ROUTE")),
        };
    }
    let address = match Uri::parse(text) {
        Ok(uri) => Some(NameAddr::new(uri)),
        Err(_) => NameAddr::parse(text).ok(),
    };
    match address {
        Some(address) if address.uri().sip().is_some() => Ok(Some(address.to_buf())),
        _ => Err(field.wrong("the route", "a SIP URI")),
    }
}

/// `KEY=value` with white space between them. A word without a key belongs to the value before it: expressions may have
/// white space in them.
fn options(field: &Field) -> Result<(Option<Direction>, Vec<DarOption>)> {
    let mut options: Vec<DarOption> = Vec::new();
    for word in field.text.split_whitespace() {
        match (word.split_once('=').filter(|(key, _)| is_key(key)), options.last_mut()) {
            (Some((key, value)), _) => options.push(DarOption { key: key.to_owned(), value: value.to_owned() }),
            (None, Some(before)) => {
                before.value.push(' ');
                before.value.push_str(word);
            }
            (None, None) => return Err(field.wrong("the seventh string", "KEY=value")),
        }
    }
    let mut direction = None;
    let mut ignored = Vec::new();
    for option in options {
        match (option.key.as_str(), option.value.as_str()) {
            ("DIRECTION", "INBOUND") if direction.is_none() => direction = Some(Direction::Inbound),
            ("DIRECTION", "OUTBOUND") if direction.is_none() => direction = Some(Direction::Outbound),
            // Another container's own third direction.
            ("DIRECTION", "UAC_ROUTE_BACK") if direction.is_none() => ignored.push(option),
            ("DIRECTION", _) => return Err(field.wrong("the seventh string", "one DIRECTION=INBOUND or OUTBOUND")),
            _ => ignored.push(option),
        }
    }
    Ok((direction, ignored))
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|o| o.is_ascii_alphanumeric() || matches!(o, b'_' | b'-'))
}
