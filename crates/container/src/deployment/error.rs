//! What is wrong with a deployment, and what is merely not heeded. Both are told to who has written it, with what to do.

use std::fmt;

/// A deployment that can't be. The author's mistake, or the deployer's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeploymentError {
    /// The application.
    pub application: Box<str>,
    /// What is wrong with it.
    pub what: DeploymentMistake,
}

/// What is wrong. Where there is a list, it is of the servlets that there are.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeploymentMistake {
    /// The application has no name.
    NoName,
    /// The descriptor is that of the application of this name.
    OtherName(Box<str>),
    /// Another application has the name.
    TwoApplications,
    /// More applications, or more servlets in one, than there are numbers for.
    TooMany,
    /// The application has no servlet.
    NoServlet,
    /// Two servlets have this name.
    TwoServlets(Box<str>),
    /// There are several servlets, and nothing says which of them gets what.
    NoSelection(Vec<Box<str>>),
    /// The main servlet is none of the servlets.
    UnknownMainServlet(Box<str>, Vec<Box<str>>),
    /// A mapping leads to a servlet that is none.
    UnknownMappedServlet(Box<str>, Vec<Box<str>>),
    /// A constraint protects a servlet that is none.
    UnknownConstrainedServlet(Box<str>, Vec<Box<str>>),
    /// There are two timer listeners.
    SecondTimerListener,
    /// Two handlers are for the same messages.
    Ambiguous(Box<str>),
    /// A constraint asks for roles, and nothing says how users log in.
    NoLogin,
    /// A constraint asks for roles, and there are no users.
    NoUsers,
}

impl fmt::Display for DeploymentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "application `{}`: {}", self.application.escape_debug(), self.what)
    }
}

impl std::error::Error for DeploymentError {}

impl fmt::Display for DeploymentMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeploymentMistake::NoName => {
                f.write_str("it has no name: give it one with SipApplication::new, or by app-name in its descriptor")
            }
            DeploymentMistake::OtherName(name) => {
                let name = name.escape_debug();
                write!(f, "its descriptor is that of `{name}`: give both the same name, or the application none")
            }
            DeploymentMistake::TwoApplications => {
                f.write_str("another application has this name, and routers know applications by name: rename one")
            }
            DeploymentMistake::TooMany => {
                write!(f, "there are at most {} applications, each with as many servlets", u16::MAX)
            }
            DeploymentMistake::NoServlet => {
                f.write_str("it has no servlet: add one with `servlet`, or functions with `handlers`")
            }
            DeploymentMistake::TwoServlets(name) => {
                let name = name.escape_debug();
                write!(f, "two servlets are called `{name}`: give them names of their own with `named_servlet`")
            }
            DeploymentMistake::NoSelection(known) => {
                write!(f, "it has {}: say with `main_servlet` or mappings which of them gets what", Names(known))
            }
            DeploymentMistake::UnknownMainServlet(name, known) => {
                write!(f, "the main servlet `{}` is none: there is {}", name.escape_debug(), Names(known))
            }
            DeploymentMistake::UnknownMappedServlet(name, known) => {
                write!(f, "a mapping leads to `{}`, which is none: there is {}", name.escape_debug(), Names(known))
            }
            DeploymentMistake::UnknownConstrainedServlet(name, known) => {
                write!(f, "a constraint protects `{}`, which is none: there is {}", name.escape_debug(), Names(known))
            }
            DeploymentMistake::SecondTimerListener => f.write_str(
                "it has two timer listeners, and only one would hear of each timer: \
                 tell its timers apart by what they carry",
            ),
            DeploymentMistake::Ambiguous(which) => {
                write!(f, "{which}; join them, or give one a condition with `request_when`")
            }
            DeploymentMistake::NoLogin => f.write_str(
                "a constraint asks for roles, and nothing says how users log in: \
                 add `login`, or login-config in its descriptor",
            ),
            DeploymentMistake::NoUsers => {
                f.write_str("a constraint asks for roles, and there are no users: add `users` or `user_store`")
            }
        }
    }
}

/// The names of servlets.
struct Names<'n>(&'n [Box<str>]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, name) in self.0.iter().enumerate() {
            write!(f, "{}`{}`", if index == 0 { "" } else { ", " }, name.escape_debug())?;
        }
        Ok(())
    }
}

/// Something that a descriptor says and that is not heeded.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeploymentWarning {
    /// A listener by the name of its class: listeners are registered in code.
    Listener(Box<str>),
    /// A servlet that the code does not have, and that nothing refers to.
    Servlet(Box<str>),
    /// A parameter that several servlets have with different values: there is one for the whole application.
    Parameter {
        /// Whose value is not heeded.
        servlet: Box<str>,
        /// The parameter.
        name: Box<str>,
    },
    /// A role in which a servlet calls others.
    RunAs {
        /// The servlet.
        servlet: Box<str>,
        /// The role.
        role: Box<str>,
    },
    /// A constraint asks for a role that the descriptor does not list.
    UndeclaredRole(Box<str>),
    /// The login takes signatures of RFC 8224, which nobody checks here: nobody is known by them.
    IdentityNotVerified,
    /// An element without a meaning here.
    Element {
        /// Its name.
        name: Box<str>,
        /// Its line in the descriptor.
        line: u32,
    },
}

impl fmt::Display for DeploymentWarning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DeploymentWarning::Listener(class) => {
                let class = class.escape_debug();
                write!(f, "listener `{class}` is not heeded: listeners are registered in code, with SipApplication")
            }
            DeploymentWarning::Servlet(name) => {
                write!(f, "servlet `{}` is not heeded: the code has none of its name or class", name.escape_debug())
            }
            DeploymentWarning::Parameter { servlet, name } => {
                let (servlet, name) = (servlet.escape_debug(), name.escape_debug());
                write!(f, "parameter `{name}` of servlet `{servlet}` is not heeded: another value stands before it")
            }
            DeploymentWarning::RunAs { servlet, role } => {
                let (servlet, role) = (servlet.escape_debug(), role.escape_debug());
                write!(f, "run-as `{role}` of servlet `{servlet}` is not heeded: applications call nobody by role")
            }
            DeploymentWarning::UndeclaredRole(role) => {
                write!(f, "role `{}` stands in a constraint and in no security-role", role.escape_debug())
            }
            DeploymentWarning::IdentityNotVerified => {
                f.write_str("identity-assertion `Identity`: signatures are not checked, so nobody is known by them")
            }
            DeploymentWarning::Element { name, line } => {
                write!(f, "`{}` in line {line} is not heeded", name.escape_debug())
            }
        }
    }
}
