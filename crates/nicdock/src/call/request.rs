//! Parses and checks a request.

use std::fmt::Display;
use std::str::FromStr;

use nicdock_core::attach::Terms;
use nicdock_core::lease::{LAUNCHER, Owner, ProcessId};
use nicdock_core::request::{
    AddressWithPrefix, LINK_TIMEOUT, Memlock, NetdevMode, Netlink, NicRequest, Profile, Selector, User,
};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// The version of the request and of its answer.
pub const SCHEMA: u64 = 1;

/// One request, checked.
pub enum Call {
    Check(Check),
    Reserve(Check),
    Give(Box<Give>),
    Release(Release),
    Recover,
    List,
    Host,
}

/// Whether a container of this name could have these NICs; nothing is changed for it. Or sets them aside for this owner.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Check {
    pub owner: Owner,
    nics: Vec<Nic>,
    /// Where they are to be: in a container's network namespace, unless it is the host's.
    net: Option<HostNetwork>,
}

/// The host's network namespace, in which the NICs stay: `"host"`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostNetwork {
    Host,
}

/// Which network namespace gets the NICs.
pub enum Net {
    /// That of this process.
    Process(ProcessId),
    Host,
}

impl<'de> Deserialize<'de> for Net {
    /// By hand, so that an error names the field that is missing or wrong.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        if value.is_string() {
            return HostNetwork::deserialize(value)
                .map(|HostNetwork::Host| Self::Host)
                .map_err(D::Error::custom);
        }
        ProcessId::deserialize(value).map(Self::Process).map_err(D::Error::custom)
    }
}

/// Gives NICs to a container, all or none.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Give {
    pub owner: Owner,
    /// Chosen now.
    #[serde(default)]
    nics: Vec<Nic>,
    /// Whose NICs they are that were chosen before.
    pub reservation: Option<Owner>,
    pub net: Net,
    /// Processes whose control groups and mount namespaces get the nodes and the view: the one of `net`, or all that wait of a job in the host's network.
    pub access: Vec<ProcessId>,
    pub moment: Moment,
    #[serde(default)]
    options: Options,
}

/// Takes home what a container had that has ended; what is reserved for an owner of this name and engine is free then.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    pub owner: Owner,
    /// Seconds that its end may take.
    #[serde(default)]
    pub wait: u64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

/// May the container's program have run already?
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Moment {
    /// Its first process waits for the caller.
    Created,
    Running,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nic {
    #[serde(deserialize_with = "parsed")]
    select: Selector,
    /// The netdev's name inside.
    ifname: Option<String>,
    #[serde(default)]
    ip: Vec<Parsed<AddressWithPrefix>>,
    netdev: Option<Parsed<NetdevMode>>,
    #[serde(default)]
    umad: bool,
    #[serde(default)]
    rdma_cm: bool,
    #[serde(default)]
    take_in_use: bool,
    /// Seconds; 0 does not wait.
    link_timeout: Option<u32>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Options {
    memlock: Option<Parsed<Memlock>>,
    view: Option<View>,
    keep_privileges: Option<bool>,
    #[serde(default)]
    accept_netlink: bool,
    #[serde(default)]
    allow_netlink: Vec<Parsed<Netlink>>,
    /// Whose the nodes are that a job is shown; root's unless said.
    user: Option<UserId>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct UserId {
    uid: u32,
    gid: u32,
}

/// What an engine's container is shown: how nicdock composes the rest is its launcher's.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum View {
    Nic,
    Off,
}

/// A value that is written as on the command line.
struct Parsed<T>(T);

impl<'de, T: FromStr<Err: Display>> Deserialize<'de> for Parsed<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        parsed(deserializer).map(Self)
    }
}

fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(deserializer: D) -> Result<T, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
}

impl Call {
    /// Errors: what is wrong, and where.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        let mut fields: Map<String, Value> = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        let schema = fields.remove("schema").ok_or("it has no 'schema'")?;
        if schema != SCHEMA {
            return Err(format!("its schema is {schema}; this nicdock knows {SCHEMA}"));
        }
        let method = fields.remove("method").ok_or("it has no 'method'")?;
        let Some(method) = method.as_str() else { return Err(format!("its method is {method}, no string")) };
        let call = match method {
            "check" => Self::Check(rest(method, fields)?),
            "reserve" => Self::Reserve(rest(method, fields)?),
            "give" => Self::Give(Box::new(rest(method, fields)?)),
            "release" => Self::Release(rest(method, fields)?),
            "recover" => rest(method, fields).map(|Nothing {}| Self::Recover)?,
            "list" => rest(method, fields).map(|Nothing {}| Self::List)?,
            "host" => rest(method, fields).map(|Nothing {}| Self::Host)?,
            _ => {
                return Err(format!(
                    "there is no method '{method}': there are check, reserve, give, release, recover, list and host"
                ));
            }
        };
        call.check()?;
        Ok(call)
    }

    fn check(&self) -> Result<(), String> {
        let owner = match self {
            Self::Check(check) | Self::Reserve(check) => {
                some(&check.nics)?;
                check.net.map_or(Ok(()), |_| stays(&check.nics))?;
                &check.owner
            }
            Self::Give(give) => {
                give.check_scope()?;
                // Its limits and capabilities are what they are.
                let starts = give.options.memlock.is_some() || give.options.keep_privileges.is_some();
                if starts && matches!(give.moment, Moment::Running) {
                    return Err(
                        "options.memlock and options.keep_privileges are for the moment 'created'".to_owned()
                    );
                }
                match &give.reservation {
                    None => some(&give.nics)?,
                    Some(owner) => {
                        check_engine(&owner.engine)?;
                        if !give.nics.is_empty() {
                            return Err("'nics' and 'reservation' are one too many: what is reserved was chosen before".to_owned());
                        }
                    }
                }
                &give.owner
            }
            Self::Release(release) => &release.owner,
            Self::Recover | Self::List | Self::Host => return Ok(()),
        };
        check_engine(&owner.engine)
    }
}

fn check_engine(engine: &str) -> Result<(), String> {
    let is_word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if engine.is_empty() || engine.len() > 32 || !engine.bytes().all(is_word) || engine == LAUNCHER {
        return Err(format!(
            "owner.engine '{}' has to be 1 to 32 small letters, digits or '-', and not '{LAUNCHER}'",
            engine.escape_debug()
        ));
    }
    Ok(())
}

fn rest<T: DeserializeOwned>(method: &str, fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| format!("{method}: {error}"))
}

/// What stays in the host's network namespace is not configured.
fn stays(nics: &[Nic]) -> Result<(), String> {
    let changes = |nic: &Nic| nic.netdev.is_some() || nic.ifname.is_some() || !nic.ip.is_empty();
    if nics.iter().any(changes) {
        return Err("netdev, ifname and ip are for a network namespace of a container's own: with 'net': \"host\" the netdev stays as it is".to_owned());
    }
    Ok(())
}

fn some(nics: &[Nic]) -> Result<(), String> {
    if nics.is_empty() { Err("'nics' names none".to_owned()) } else { Ok(()) }
}

impl Nic {
    /// `of_host_network`: for a job there.
    fn request(&self, of_host_network: bool) -> NicRequest {
        NicRequest {
            addresses: self.ip.iter().map(|Parsed(address)| *address).collect(),
            netdev_name: self.ifname.clone(),
            netdev: match &self.netdev {
                _ if of_host_network => NetdevMode::Host,
                Some(Parsed(mode)) => *mode,
                None => NetdevMode::Move,
            },
            take_in_use: self.take_in_use,
            umad: self.umad,
            rdma_cm: self.rdma_cm,
            link_timeout: match self.link_timeout {
                Some(0) => None,
                seconds => seconds.or(Some(LINK_TIMEOUT)),
            },
            ..NicRequest::of(vec![self.select.clone()])
        }
    }
}

impl Check {
    pub fn wanted(&self) -> Vec<NicRequest> {
        self.nics.iter().map(|nic| nic.request(self.net.is_some())).collect()
    }
}

impl Give {
    pub fn wanted(&self) -> Vec<NicRequest> {
        self.nics.iter().map(|nic| nic.request(matches!(self.net, Net::Host))).collect()
    }

    fn check_scope(&self) -> Result<(), String> {
        match self.net {
            // One process stands for its network namespace and for its control group and mounts.
            Net::Process(process) if self.access[..] != [process] => {
                Err("'access' has to be the process of 'net', and no other".to_owned())
            }
            Net::Process(_) if self.options.user.is_some() => {
                Err("options.user is for 'net': \"host\"".to_owned())
            }
            Net::Process(_) => Ok(()),
            Net::Host if self.access.is_empty() => Err("'access' names no process of the job".to_owned()),
            Net::Host if matches!(self.moment, Moment::Running) => {
                Err("a job in the host's network is closed before its program runs: 'moment' has to be 'created'".to_owned())
            }
            Net::Host if self.options.keep_privileges.is_some() || self.options.accept_netlink => {
                Err("options.keep_privileges and options.accept_netlink are for containers: a job's processes nicdock closes itself".to_owned())
            }
            Net::Host => stays(&self.nics),
        }
    }

    /// The user of a job's program.
    pub fn user(&self) -> User {
        self.options.user.map_or_else(User::default, |UserId { uid, gid }| User { uid, gid })
    }

    pub fn terms(&self) -> Terms {
        let Options { memlock, view, keep_privileges, accept_netlink, allow_netlink, user: _ } =
            &self.options;
        let view = match view {
            None | Some(View::Nic) => Profile::Nic,
            Some(View::Off) => Profile::Off,
        };
        let memlock = memlock.as_ref().map_or(Memlock::Unlimited, |Parsed(memlock)| *memlock);
        let netlink = allow_netlink.iter().map(|Parsed(protocol)| *protocol).collect();
        let engine = &self.owner.engine;
        if matches!(self.net, Net::Host) {
            return Terms::of_job(engine, view, netlink, memlock, self.user());
        }
        match self.moment {
            Moment::Created => Terms::of_start(
                engine,
                view,
                *accept_netlink,
                keep_privileges.unwrap_or(false),
                netlink,
                memlock,
            ),
            Moment::Running => Terms::of_running(engine, view, *accept_netlink, netlink),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIVE: &str = include_str!("../../fuzz/call/give.json");

    fn wrong(text: &str) -> String {
        Call::parse(text.as_bytes()).err().unwrap_or_else(|| panic!("accepted: {text}"))
    }

    #[test]
    fn a_whole_request_is_read() {
        let Ok(Call::Give(give)) = Call::parse(GIVE.as_bytes()) else { panic!("{}", wrong(GIVE)) };
        let wanted = give.wanted();
        assert_eq!(wanted[0].netdev_name.as_deref(), Some("fab0"));
        assert_eq!((wanted[0].addresses.len(), wanted[0].link_timeout), (1, None));
        let terms = give.terms();
        assert_eq!((terms.memlock, terms.view, terms.starts), (Memlock::Bytes(64 << 20), Profile::Off, true));
        assert_eq!(terms.engine, "test");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (from, to, part) in [
            ("\"schema\": 1", "\"schema\": 2", "this nicdock knows 1"),
            ("\"schema\": 1, ", "", "no 'schema'"),
            ("\"give\"", "\"gave\"", "check, reserve, give, release"),
            ("\"give\"", "7", "no string"),
            ("kind=roce,any", "kind=fast", "no kind 'fast'"),
            ("10.1.1.2/24", "10.1.1.2", "is no address"),
            ("\"move\"", "\"copy\"", "move or keep"),
            ("\"ifname\"", "\"name\"", "unknown field `name`"),
            ("4711, \"start\"", "\"4711\", \"start\"", "invalid type"),
            (
                "\"pid\": 4711, \"start\": 12}, \"access\"",
                "\"pid\": 4711}, \"access\"",
                "missing field `start`",
            ),
            ("\"access\": [{\"pid\": 4711", "\"access\": [{\"pid\": 4712", "and no other"),
            ("\"created\"", "\"ended\"", "unknown variant"),
            ("\"created\"", "\"running\"", "options.memlock"),
            ("\"off\"", "\"open\"", "unknown variant"),
            ("\"test\"", "\"nicdock\"", "owner.engine"),
            ("64M", "lots", "is no size"),
            ("\"generic\"", "\"route\"", "route"),
            ("}}", "}", "EOF"),
            ("}}", "}} 1", "trailing"),
        ] {
            assert!(GIVE.contains(from), "{from}");
            let said = wrong(&GIVE.replacen(from, to, 1));
            assert!(said.contains(part), "{to}: {said}");
        }
        assert!(wrong("[]").contains("map"));
        assert!(wrong("").contains("EOF"));
        assert!(wrong(r#"{"schema": 1, "method": "list", "owner": {}}"#).contains("unknown field `owner`"));
        let none = r#"{"schema": 1, "method": "check", "owner": {"engine": "a", "name": "b"}, "nics": []}"#;
        assert!(wrong(none).contains("names none"));
    }

    #[test]
    fn what_is_reserved_is_given_by_its_owner_instead_of_a_choice() {
        let mut give: Value = serde_json::from_str(GIVE).unwrap();
        give["reservation"] = serde_json::json!({"engine": "a", "name": "claim"});
        assert!(wrong(&give.to_string()).contains("one too many"));
        give.as_object_mut().unwrap().remove("nics");
        let Ok(Call::Give(given)) = Call::parse(give.to_string().as_bytes()) else { panic!("{give}") };
        assert_eq!(given.reservation.unwrap().name, "claim");
        give["reservation"]["engine"] = "nicdock".into();
        assert!(wrong(&give.to_string()).contains("owner.engine"));
        let reserve = r#"{"schema": 1, "method": "reserve", "owner": {"engine": "a", "name": "claim"}, "nics": [{"select": "any"}]}"#;
        assert!(matches!(Call::parse(reserve.as_bytes()), Ok(Call::Reserve(_))));
    }

    #[test]
    fn a_job_is_all_of_its_processes_in_the_hosts_network() {
        const JOB: &str = include_str!("../../fuzz/call/job.json");
        let Ok(Call::Give(give)) = Call::parse(JOB.as_bytes()) else { panic!("{}", wrong(JOB)) };
        assert!(matches!(give.net, Net::Host) && give.access.len() == 2);
        let terms = give.terms();
        let created = terms.created.expect("it waits");
        assert_eq!((created.user, terms.accept_netlink), (User { uid: 1000, gid: 1000 }, false));
        assert!(created.weaknesses.iter().any(|weakness| weakness.id == "namespace.net"));
        for (from, to, part) in [
            ("\"host\"", "\"hosts\"", "unknown variant"),
            ("\"created\"", "\"running\"", "before its program runs"),
            ("{\"user\"", "{\"keep_privileges\": true, \"user\"", "nicdock closes itself"),
            ("\"host\"", "{\"pid\": 4711, \"start\": 12}", "and no other"),
        ] {
            assert!(JOB.contains(from), "{from}");
            let said = wrong(&JOB.replacen(from, to, 1));
            assert!(said.contains(part), "{to}: {said}");
        }
        let mut reserve = serde_json::json!({"schema": 1, "method": "reserve", "owner": {"engine": "a", "name": "b"}, "net": "host", "nics": [{"select": "any"}]});
        let Ok(Call::Reserve(check)) = Call::parse(reserve.to_string().as_bytes()) else {
            panic!("{reserve}")
        };
        assert_eq!(check.wanted()[0].netdev, NetdevMode::Host);
        reserve["nics"][0]["ifname"] = "fab0".into();
        assert!(wrong(&reserve.to_string()).contains("stays as it is"));
    }

    #[test]
    fn requests() {
        nicdock_fuzzing::check(&nicdock_fuzzing::samples!("call"), |bytes| {
            let _ = Call::parse(bytes);
        });
    }
}
