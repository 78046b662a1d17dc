//! One node of several that are one service: it copies what the leader decides, carries its connections to the leader, and
//! leads when nobody does (ADR 22).
//!
//! ```text
//! front     what this node's listeners are in front of      back     what the leader does for connections of other nodes
//! carried   what both say about a connection                places   what the nodes share, and where it is
//! history   snapshots, for the journal not to grow without end    moving   from one machine to several nodes
//! base      what a node stands on, whoever leads
//! ```
//!
//! A node that led and leads no more has decided more than it may know: it ends, and its process begins anew.

mod back;
mod base;
mod carried;
mod front;
mod history;
mod moving;
mod places;

use std::net::SocketAddr;
use std::sync::Arc;

use thingward_cluster::lease::Held;
use thingward_cluster::link::{self, Host};
use thingward_ingress::{Balancers, Members};
use thingward_model::clock::now;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use self::back::{Answers, Back};
use self::base::{AGAIN, Base, Role, patiently};
use self::front::{Front, Line, Place};
pub use self::moving::{MoveError, Moved, move_to_nodes};
pub use self::places::{BucketUrl, Network, Objects, ScaleSettings};
use crate::http;
use crate::reign::{Ground, Reign};
use crate::service::{ListenersTls, StartError, mqtt_listener, web_listeners};
use crate::settings::ServiceSettings;

/// Why a node has ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Ended {
    /// It led, and another one leads now, or it cannot be known.
    #[error("this node leads no more")]
    Deposed,
    /// Something that it needs is not as it has to be.
    #[error(transparent)]
    Failed(#[from] StartError),
}

/// A running node.
pub struct Node {
    base: Arc<Base>,
    governing: JoinHandle<Result<(), Ended>>,
    /// Those who are connected with MQTT.
    members: JoinHandle<()>,
    web: JoinHandle<()>,
    /// Nobody is let in, and no more is answered over HTTP.
    closing: watch::Sender<bool>,
    /// Behind that: nobody leads or follows here.
    stop: watch::Sender<bool>,
    mqtt: SocketAddr,
    https: SocketAddr,
}

/// What clients come in by, whoever leads.
struct Doors {
    front: Front,
    tls: ListenersTls,
    members: Arc<Members>,
    closing: http::Stop,
}

impl Node {
    /// Starts a node: ports are open when somebody leads. Waits for NATS and PostgreSQL.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing runs then.
    pub async fn start(settings: ServiceSettings, scale: ScaleSettings) -> Result<Self, StartError> {
        let base = Arc::new(patiently(|| Base::open(&settings, &scale)).await?);
        let role = base.find_role().await?;
        let tls = match &role {
            Role::Leads(_, ground) => ground.tls.clone(),
            Role::Follows(..) => patiently(|| base.following_tls()).await?,
        };
        let balancers = Balancers::from(scale.balancers);
        let (mqtt, listener) = mqtt_listener(&settings, &tls).await?;
        let listener = listener.behind(balancers.clone());
        let web = web_listeners(&settings).await?.behind(balancers);
        let https = web.local_addr();
        let front = Front::new();
        let (closing, is_closing) = watch::channel(false);
        let here = listener.members();
        let members = tokio::spawn(listener.run(front.clone(), is_closing.clone()));
        let web = tokio::spawn(web.run(front.clone(), tls.https.clone(), is_closing.clone()));
        let doors = Doors { front, tls, members: here, closing: is_closing };
        let (stop, stopped) = watch::channel(false);
        let governing = tokio::spawn(govern(Arc::clone(&base), role, doors, stopped));
        Ok(Self { base, governing, members, web, closing, stop, mqtt, https })
    }

    /// Where MQTT listens.
    #[must_use]
    pub const fn mqtt(&self) -> SocketAddr {
        self.mqtt
    }

    /// Where HTTPS listens.
    #[must_use]
    pub const fn https(&self) -> SocketAddr {
        self.https
    }

    /// Returns when the node has ended by itself.
    pub async fn ended(&mut self) -> Ended {
        match (&mut self.governing).await {
            Ok(Err(ended)) => ended,
            Ok(Ok(())) | Err(_) => Ended::Deposed,
        }
    }

    /// Stops taking connections, answers what was asked, makes everything durable that was taken, and lets another node lead at
    /// once.
    pub async fn stop(self) {
        self.closing.send_replace(true);
        let _ = self.web.await;
        self.stop.send_replace(true);
        let _ = self.governing.await;
        let _ = self.members.await;
        self.base.copy_no_more().await;
    }
}

impl Base {
    /// Carries this node's connections to the leader, until the link ends, the leader says that it leads no more, or this node shall
    /// stop.
    async fn follow(
        &self,
        (sender, mut receiver): (link::Sender, link::Receiver),
        doors: &Doors,
        stop: &mut http::Stop,
    ) {
        let (line, changed) = (Line::new(sender), Notify::new());
        doors.front.set(Place::There(Arc::clone(&line)));
        // What changed before the link was there, and what this node's own certificate needs.
        changed.notify_one();
        let renewing = async {
            loop {
                let renewal = self.settings.lifetimes.service.min(self.settings.lifetimes.crl) / 3;
                let _ = tokio::time::timeout(renewal, changed.notified()).await;
                match self.following_tls().await {
                    Ok(fresh) => doors.tls.take(&fresh),
                    Err(error) => {
                        tracing::error!(%error, "who may connect is not renewed");
                        tokio::time::sleep(AGAIN).await;
                        changed.notify_one();
                    }
                }
            }
        };
        tokio::select! {
            () = line.run(&mut receiver, || changed.notify_one()) => {}
            () = renewing => {}
            () = self.office.given_back() => {}
            () = http::stopped(stop) => line.leave(&mut receiver).await,
        }
        doors.front.set(Place::Nobody);
        line.end();
    }

    /// Decides, until somebody else may or this node shall stop.
    async fn lead(
        &self,
        mut lease: Held,
        mut ground: Box<Ground>,
        doors: &Doors,
        mut stop: http::Stop,
    ) -> Result<(), Ended> {
        doors.tls.take(&ground.tls);
        ground.tls = doors.tls.clone();
        let term = lease.term();
        let beginning = async {
            let reign = Reign::begin(*ground, now()).await?;
            let host = Host::listen(&self.nats, self.key.clone(), term).await.map_err(StartError::from)?;
            Ok::<_, StartError>((reign, host))
        };
        let (reign, host) = tokio::select! {
            begun = beginning => begun?,
            () = lease.lost() => return Err(Ended::Deposed),
        };
        let (core, site, answers) = (reign.shared.core.clone(), reign.site.clone(), Answers::default());
        let back = Back {
            core: core.clone(),
            site: site.clone(),
            members: Arc::clone(&doors.members),
            closing: doors.closing.clone(),
            answers: answers.clone(),
            changed: reign.shared.members_changed.subscribe(),
        };
        let mut serving = tokio::spawn(back::serve(host, back));
        doors.front.set(Place::Here(core, site));
        let is_deposed = tokio::select! {
            () = lease.lost() => true,
            () = reign.failed() => true,
            // Another installation may have taken the database, whose lease is not this one's.
            () = reign.superseded() => true,
            // NATS is no more asked for other nodes.
            _ = &mut serving => true,
            never = history::shorten(self) => match never {},
            () = http::stopped(&mut stop) => false,
        };
        if !is_deposed {
            answers.end().await;
        }
        doors.front.set(Place::Nobody);
        if !is_deposed {
            reign.end().await;
            lease.give_back().await;
        }
        serving.abort();
        if is_deposed { Err(Ended::Deposed) } else { Ok(()) }
    }
}

/// Leads or follows, whatever is to be done, until it leads no more or shall stop.
async fn govern(base: Arc<Base>, mut role: Role, doors: Doors, mut stop: http::Stop) -> Result<(), Ended> {
    loop {
        role = match role {
            Role::Leads(lease, ground) => return base.lead(lease, ground, &doors, stop).await,
            Role::Follows(sender, receiver) => {
                base.follow((sender, receiver), &doors, &mut stop).await;
                tokio::select! {
                    biased;
                    () = http::stopped(&mut stop) => return Ok(()),
                    next = base.find_role() => next?,
                }
            }
        };
    }
}
