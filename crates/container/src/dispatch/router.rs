//! The router is asked which application is next, and its answer is read.

use servlet::{Address, SipApplicationRouterInfo, SipRouteModifier, SipServletRequest, SipTargetedRequestInfo, Uri};
use sip_message::StatusCode;

use crate::core::Core;
use crate::route_back;
use crate::session::Routed;

use super::{Answer, Decision, Question};

impl Core {
    /// Asks the router which application is next.
    pub(crate) fn ask_router(
        &self,
        handle: &SipServletRequest,
        question: &Question,
        targeted: Option<&SipTargetedRequestInfo>,
    ) -> Answer {
        let router = self.router.borrow().clone();
        handle.facts().read_only.set(true);
        let answer = crate::jobs::contained(|| {
            let state = question.state.as_ref();
            router.next_application(handle, question.region.as_ref(), question.directive, targeted, state)
        });
        handle.facts().read_only.set(false);
        let info = match answer {
            Ok(Ok(info)) => info,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the application router has failed");
                return Answer::Refuse(StatusCode::SERVER_INTERNAL_ERROR);
            }
            Err(panic) => {
                tracing::error!(%panic, "the application router has panicked");
                return Answer::Refuse(StatusCode::SERVER_INTERNAL_ERROR);
            }
        };
        let is_external = info.routes.first().is_some_and(|route| !self.is_own_route(route));
        if is_external && info.route_modifier != SipRouteModifier::NoRoute {
            return Answer::Out(self.routes_out(info, &handle.call_id()));
        }
        let Some(name) = info.next_application else { return Answer::Out(Vec::new()) };
        let Some(app) = self.apps.iter().find(|app| *app.name == *name) else {
            tracing::warn!(application = %name, "the router names an application that is not deployed");
            return Answer::Refuse(StatusCode::SERVER_INTERNAL_ERROR);
        };
        let route = match info.route_modifier {
            SipRouteModifier::Route => info.routes.into_iter().next(),
            SipRouteModifier::RouteBack | SipRouteModifier::NoRoute => None,
        };
        let routed = Routed { region: info.region, subscriber: info.subscriber_uri, state: info.state };
        Answer::Application(Decision { app: app.id, routed, route })
    }

    pub(super) fn is_own_route(&self, route: &Address) -> bool {
        let Some(Uri::Sip(uri)) = route.uri() else { return false };
        self.is_own_uri(&uri.as_message_uri())
    }

    /// The router's routes as they are pushed; with our own below them when the request is to come back.
    pub(super) fn routes_out(&self, info: SipApplicationRouterInfo, call_id: &str) -> Vec<Address> {
        let mut routes = info.routes;
        if info.route_modifier == SipRouteModifier::RouteBack {
            let back = self.state().interfaces.first().cloned();
            let place = route_back::write(&self.settings.secret, call_id, &info.region, info.state.as_ref());
            routes.extend(back.map(|mut uri| {
                uri.set_parameter(route_back::PARAMETER, place.as_str()).expect("hexadecimal digits need no escape");
                Address::new(uri)
            }));
        }
        for route in &mut routes {
            if let Some(Uri::Sip(uri)) = route.uri_mut() {
                uri.set_lr_param(true);
            }
        }
        routes
    }
}
