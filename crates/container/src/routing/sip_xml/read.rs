//! What the elements of a descriptor mean: a function for each that has others in it.

mod security;
mod selection;

use std::num::NonZeroU32;
use std::time::Duration;

use super::tree::{Element, Tree};
use super::{
    Display, Ignored, Param, ProxyConfig, RoleRef, Servlet, ServletSelection, SessionTimeout, SipXml, SipXmlError,
    SipXmlMistake,
};
use selection::Selection;

type Result<T = ()> = std::result::Result<T, SipXmlError>;

/// Elements of `sip-app` that the container has no use for: references that only a Java naming context resolves, and
/// the charsets of Java's readers.
const UNUSED: [&str; 16] = [
    "data-source",
    "ejb-local-ref",
    "ejb-ref",
    "env-entry",
    "locale-encoding-mapping-list",
    "message-destination",
    "message-destination-ref",
    "module-name",
    "name",
    "persistence-context-ref",
    "persistence-unit-ref",
    "post-construct",
    "pre-destroy",
    "resource-env-ref",
    "resource-ref",
    "service-ref",
];

/// The same in `servlet`.
const UNUSED_OF_SERVLET: [&str; 3] = ["async-supported", "enabled", "multipart-config"];

/// The whole document.
pub(super) fn descriptor(tree: Tree) -> Result<SipXml> {
    let Tree { root, ignored } = tree;
    let mut app_name = None;
    let mut selection = Selection::default();
    let mut proxy = None;
    let mut session_config = None;
    let mut xml = SipXml {
        app_name: String::new(),
        version: root.attribute("version").map(str::to_owned),
        display: Display::default(),
        distributable: false,
        context_params: Vec::new(),
        listeners: Vec::new(),
        selection: None,
        servlets: Vec::new(),
        proxy: ProxyConfig::default(),
        session_timeout: None,
        security_constraints: Vec::new(),
        login: None,
        security_roles: Vec::new(),
        ignored,
    };
    for child in root.elements()? {
        match child.name.as_str() {
            "app-name" => child.once(&mut app_name, child.text("a name")?)?,
            "distributable" => {
                child.elements()?.iter().try_for_each(|inner| Err(inner.unknown(child)))?;
                xml.distributable = true;
            }
            "context-param" => param(child, &mut xml.context_params)?,
            "listener" => xml.listeners.push(listener(child)?),
            "servlet-selection" => selection.selection(child)?,
            "servlet-mapping" => selection.mapping(child)?,
            "servlet" => servlet(child, &mut xml)?,
            "proxy-config" => child.once(&mut proxy, proxy_config(child)?)?,
            "session-config" => child.once(&mut session_config, session_timeout(child)?)?,
            "security-constraint" => xml.security_constraints.push(security::constraint(child)?),
            "login-config" => child.once(&mut xml.login, security::login(child)?)?,
            "security-role" => xml.security_roles.push(security::role(child)?),
            name if UNUSED.contains(&name) => xml.ignored.push(child.ignored()),
            _ => xml.display.take(child)?.then_some(()).ok_or_else(|| child.unknown(&root))?,
        }
    }
    xml.app_name = app_name.ok_or_else(|| root.missing("an app-name"))?;
    xml.selection = selection.chosen();
    xml.proxy = proxy.unwrap_or_default();
    xml.session_timeout = session_config.flatten();
    xml.ignored.sort_by_key(|ignored| (ignored.line, ignored.column));
    Ok(xml)
}

impl Display {
    /// Takes an element of the group; `false` when it is none.
    fn take(&mut self, element: &Element) -> Result<bool> {
        match element.name.as_str() {
            "display-name" => keep_first(&mut self.display_name, element)?,
            "description" => keep_first(&mut self.description, element)?,
            "icon" => {
                for child in element.elements()? {
                    match child.name.as_str() {
                        "small-icon" => keep_first(&mut self.small_icon, child)?,
                        "large-icon" => keep_first(&mut self.large_icon, child)?,
                        _ => return Err(child.unknown(element)),
                    }
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

/// They may stand there once for each language.
fn keep_first(slot: &mut Option<String>, element: &Element) -> Result {
    let text = element.any_text()?;
    if slot.is_none() && !text.is_empty() {
        *slot = Some(text.to_owned());
    }
    Ok(())
}

fn param(element: &Element, params: &mut Vec<Param>) -> Result {
    let (mut name, mut value) = (None, None);
    for child in element.elements()? {
        match child.name.as_str() {
            "param-name" => child.once(&mut name, child.text("a name")?)?,
            "param-value" => child.once(&mut value, child.any_text()?.to_owned())?,
            "description" => {}
            _ => return Err(child.unknown(element)),
        }
    }
    let name = name.ok_or_else(|| element.missing("a param-name"))?;
    let value = value.ok_or_else(|| element.missing("a param-value"))?;
    if params.iter().any(|other| other.name == name) {
        return Err(element.error(SipXmlMistake::Twice(name)));
    }
    params.push(Param { name, value });
    Ok(())
}

fn listener(element: &Element) -> Result<String> {
    let mut class = None;
    for child in element.elements()? {
        match child.name.as_str() {
            "listener-class" => child.once(&mut class, child.text("a class name")?)?,
            _ => Display::default().take(child)?.then_some(()).ok_or_else(|| child.unknown(element))?,
        }
    }
    class.ok_or_else(|| element.missing("a listener-class"))
}

fn servlet(element: &Element, xml: &mut SipXml) -> Result {
    let (mut name, mut class, mut run_as, mut startup) = (None, None, None, None);
    let mut display = Display::default();
    let (mut init_params, mut role_refs) = (Vec::new(), Vec::new());
    for child in element.elements()? {
        match child.name.as_str() {
            "servlet-name" => child.once(&mut name, child.text("a name")?)?,
            "servlet-class" => child.once(&mut class, child.text("a class name")?)?,
            "init-param" => param(child, &mut init_params)?,
            "load-on-startup" => child.once(&mut startup, load_on_startup(child)?)?,
            "run-as" => child.once(&mut run_as, security::role(child)?)?,
            "security-role-ref" => role_refs.push(role_ref(child)?),
            name if UNUSED_OF_SERVLET.contains(&name) => xml.ignored.push(child.ignored()),
            _ => display.take(child)?.then_some(()).ok_or_else(|| child.unknown(element))?,
        }
    }
    let name = name.ok_or_else(|| element.missing("a servlet-name"))?;
    if xml.servlet(&name).is_some() {
        return Err(element.error(SipXmlMistake::Twice(name)));
    }
    let load_on_startup = startup.flatten();
    xml.servlets.push(Servlet { name, class, display, init_params, load_on_startup, run_as, role_refs });
    Ok(())
}

/// Negative: when the first request comes. Empty, as the DTD of 1.0 allows: with the application, at any place.
fn load_on_startup(element: &Element) -> Result<Option<u32>> {
    match element.any_text()? {
        "" => Ok(Some(0)),
        text => {
            let place: i64 = text.parse().map_err(|_| element.value("a whole number"))?;
            if place < 0 {
                return Ok(None);
            }
            u32::try_from(place).map(Some).map_err(|_| element.value("a number below 2^32"))
        }
    }
}

fn role_ref(element: &Element) -> Result<RoleRef> {
    let (mut name, mut link) = (None, None);
    for child in element.elements()? {
        match child.name.as_str() {
            "role-name" => child.once(&mut name, child.text("a name")?)?,
            "role-link" => child.once(&mut link, child.text("a name")?)?,
            "description" => {}
            _ => return Err(child.unknown(element)),
        }
    }
    Ok(RoleRef { name: name.ok_or_else(|| element.missing("a role-name"))?, link })
}

fn proxy_config(element: &Element) -> Result<ProxyConfig> {
    let mut config = ProxyConfig::default();
    for child in element.elements()? {
        match child.name.as_str() {
            "proxy-timeout" => child.once(&mut config.proxy_timeout, seconds(child)?)?,
            "sequential-search-timeout" => child.once(&mut config.sequential_search_timeout, seconds(child)?)?,
            _ => return Err(child.unknown(element)),
        }
    }
    Ok(config)
}

fn seconds(element: &Element) -> Result<Duration> {
    let seconds = element.any_text()?.parse::<u32>().ok().filter(|&seconds| seconds > 0);
    let seconds = seconds.ok_or_else(|| element.value("a number of seconds above 0"))?;
    Ok(Duration::from_secs(seconds.into()))
}

fn session_timeout(element: &Element) -> Result<Option<SessionTimeout>> {
    let mut timeout = None;
    for child in element.elements()? {
        match child.name.as_str() {
            "session-timeout" => child.once(&mut timeout, minutes(child)?)?,
            _ => return Err(child.unknown(element)),
        }
    }
    Ok(timeout)
}

fn minutes(element: &Element) -> Result<SessionTimeout> {
    let expected = || element.value("a number of minutes, 0 or less for never");
    let minutes: i64 = element.any_text()?.parse().map_err(|_| expected())?;
    if minutes <= 0 {
        return Ok(SessionTimeout::Never);
    }
    let minutes = u32::try_from(minutes).ok().and_then(NonZeroU32::new).ok_or_else(expected)?;
    Ok(SessionTimeout::Minutes(minutes))
}

impl Element {
    /// The elements in it, when nothing else is.
    fn elements(&self) -> Result<&[Element]> {
        if self.text.trim().is_empty() {
            Ok(&self.children)
        } else {
            Err(self.error(SipXmlMistake::StrayText { inside: self.name.clone() }))
        }
    }

    /// The text in it without white space round it, when no elements are.
    fn any_text(&self) -> Result<&str> {
        match self.children.first() {
            Some(child) => Err(child.unknown(self)),
            None => Ok(self.text.trim()),
        }
    }

    /// The text in it, of which there must be some.
    fn text(&self, expected: &'static str) -> Result<String> {
        match self.any_text()? {
            "" => Err(self.missing(expected)),
            text => Ok(text.to_owned()),
        }
    }

    fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Keeps the element's value, unless there was one of its name.
    fn once<T>(&self, slot: &mut Option<T>, value: T) -> Result {
        match slot.replace(value) {
            None => Ok(()),
            Some(_) => Err(self.error(SipXmlMistake::Twice(self.name.clone()))),
        }
    }

    fn ignored(&self) -> Ignored {
        Ignored { element: self.name.clone(), line: self.place.line, column: self.place.column }
    }

    fn error(&self, what: SipXmlMistake) -> SipXmlError {
        SipXmlError::new(self.place, what)
    }

    fn unknown(&self, inside: &Element) -> SipXmlError {
        self.error(SipXmlMistake::UnknownElement { element: self.name.clone(), inside: inside.name.clone() })
    }

    fn missing(&self, expected: &'static str) -> SipXmlError {
        self.error(SipXmlMistake::Missing { expected, inside: self.name.clone() })
    }

    fn value(&self, expected: &'static str) -> SipXmlError {
        let found = self.text.trim().to_owned();
        self.error(SipXmlMistake::Value { element: self.name.clone(), expected, found })
    }
}

impl Selection {
    fn chosen(self) -> Option<ServletSelection> {
        match self.main {
            Some(servlet) => Some(ServletSelection::MainServlet(servlet)),
            None if self.mappings.is_empty() => None,
            None => Some(ServletSelection::Mappings(self.mappings)),
        }
    }
}
