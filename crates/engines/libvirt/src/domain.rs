//! A domain's XML: what it says to nicdock's hook, and what has to be in it.

use roxmltree::{Document, Node};

use super::by_hand::{by_hand, child};
use super::closings::Closings;
use super::edits::{Edits, escape};
use super::wish::{self, Wish, WishError};
use super::{FOLDER, NAMESPACE};
use nicdock_core::request::User;

#[derive(Debug, thiserror::Error)]
pub enum DomainError {
    #[error("the domain's XML cannot be read: {0}")]
    Xml(#[from] roxmltree::Error),
    #[error("it is no domain of libvirt's container driver (<domain type='lxc'> with <os><type>exe</type>)")]
    NotLxc,
    #[error("{0}")]
    Wish(#[from] WishError),
    #[error("its metadata has more than one element of nicdock's")]
    Twice,
    #[error(
        "its <inituser> and <initgroup> say '{0}': both have to be numbers, since it is the gate that becomes this user, and it looks up no names"
    )]
    User(String),
    #[error("its <init> is nicdock's gate, but no <initarg> is --, after which its own program would come")]
    NoProgram,
    #[error("it has no <{0}>")]
    Without(&'static str),
    #[error(
        "it has <hostdev mode='capabilities'> for {0}: libvirt would move that by itself. nicdock libvirt adopt takes it over, if there is nothing of nicdock's in its <metadata>; else take it out (virsh edit)"
    )]
    ByHand(String),
}

/// What a domain says to the hook.
#[derive(Debug)]
pub enum Said {
    /// It is not nicdock's affair.
    Nothing,
    /// Was the hook called? This word is the answer.
    Proof(String),
    Nics(Domain),
}

/// A domain that wants NICs.
#[derive(Debug)]
pub struct Domain {
    pub name: String,
    /// The process number of its controller, while it runs.
    pub controller: Option<u32>,
    pub wish: Wish,
    /// Its first program is the gate.
    pub is_gated: bool,
    /// libvirt itself is to start that as an ordinary user, who cannot close what the gate closes.
    pub has_user: bool,
    /// Its root, if that is a directory of the host.
    pub root: Option<String>,
    /// Whom the container's root is on the host (`<idmap>`).
    pub root_user: u32,
    /// What libvirt itself would move, if there is such a thing.
    pub by_hand: Option<String>,
}

/// Reads what libvirt gives a hook.
pub fn said(xml: &str) -> Result<Said, DomainError> {
    // libvirt takes XML that is not taken here, as prefixes without a namespace.
    if !xml.contains(wish::EVERY_VERSION) {
        return Ok(Said::Nothing);
    }
    let document = Document::parse(xml)?;
    let domain = document.root_element();
    let mut ours = wish::elements(domain);
    let Some(element) = ours.next() else { return Ok(Said::Nothing) };
    if ours.next().is_some() {
        return Err(DomainError::Twice);
    }
    if element.has_tag_name((NAMESPACE, "proof")) {
        return Ok(Said::Proof(element.attribute("word").unwrap_or_default().to_owned()));
    }
    let wish = Wish::read(element)?;
    let os = child(domain, "os");
    let name = child(domain, "name").and_then(|node| node.text()).ok_or(DomainError::Without("name"))?;
    Ok(Said::Nics(Domain {
        name: name.to_owned(),
        controller: domain.attribute("id").and_then(|text| text.parse().ok()),
        wish,
        is_gated: os.is_some_and(|os| is_gate(&command(os))),
        has_user: os.is_some_and(|os| child(os, "inituser").is_some()),
        root: root(domain),
        root_user: root_user(domain),
        by_hand: by_hand(domain).into_iter().next().map(|(_, device)| device),
    }))
}

/// What is mounted on `target`.
fn mounts<'a, 'd>(domain: Node<'a, 'd>, target: &'static str) -> impl Iterator<Item = Node<'a, 'd>> {
    let devices = domain.children().filter(|node| node.has_tag_name("devices"));
    devices.flat_map(|node| node.children()).filter(move |node| {
        node.has_tag_name("filesystem")
            && child(*node, "target").and_then(|at| at.attribute("dir")) == Some(target)
    })
}

fn root(domain: Node<'_, '_>) -> Option<String> {
    let source = mounts(domain, "/").next().and_then(|node| child(node, "source"));
    source.and_then(|source| source.attribute("dir")).map(str::to_owned)
}

fn root_user(domain: Node<'_, '_>) -> u32 {
    let uid = child(domain, "idmap").and_then(|map| child(map, "uid"));
    let first = uid.filter(|uid| uid.attribute("start") == Some("0"));
    first.and_then(|uid| uid.attribute("target")).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The first program with its arguments.
fn command(os: Node<'_, '_>) -> Vec<String> {
    let text = |node: Node<'_, '_>| node.text().unwrap_or_default().trim().to_owned();
    let arguments = os.children().filter(|node| node.has_tag_name("initarg"));
    // libvirt's default (src/lxc/lxc_domain.c).
    let init = child(os, "init").map_or_else(|| "/sbin/init".to_owned(), text);
    // An argument may have spaces at its ends.
    let whole = |node: Node<'_, '_>| node.text().unwrap_or_default().to_owned();
    std::iter::once(init).chain(arguments.map(whole)).collect()
}

fn is_gate(words: &[String]) -> bool {
    words.first() == Closings::Whole.gate(None, &[]).first()
}

/// Whom its own program belongs to, if not root, by what the gate or libvirt was told.
fn user(os: Node<'_, '_>, words: &[String]) -> Result<Option<User>, DomainError> {
    let text = |name: &str| child(os, name).and_then(|node| node.text()).map(|text| text.trim().to_owned());
    let told = match (text("inituser"), text("initgroup")) {
        (None, None) => {
            let ours = words.split(|word| word == "--").next().filter(|_| is_gate(words)).unwrap_or_default();
            let at = ours.iter().position(|word| word == "--user");
            at.and_then(|at| ours.get(at + 1)).cloned()
        }
        (user, group) => Some(format!("{}:{}", user.unwrap_or_default(), group.unwrap_or_default())),
    };
    told.map(|told| told.parse().map_err(|_| DomainError::User(told))).transpose()
}

/// Its own program: that which the gate, if there is one, becomes.
fn program(words: &[String]) -> Option<&[String]> {
    if !is_gate(words) {
        return Some(words);
    }
    let dashes = words.iter().position(|word| word == "--")?;
    Some(&words[dashes + 1..])
}

/// The same domain with these NICs instead of those that it had from nicdock; what else there is stays as it is.
pub fn with(xml: &str, wish: &Wish) -> Result<String, DomainError> {
    let document = Document::parse(xml)?;
    let domain = document.root_element();
    let os = child(domain, "os").ok_or(DomainError::Without("os"))?;
    let is_exe = child(os, "type").and_then(|node| node.text()) == Some("exe");
    if !domain.has_tag_name("domain") || domain.attribute("type") != Some("lxc") || !is_exe {
        return Err(DomainError::NotLxc);
    }
    if let Some((_, device)) = by_hand(domain).into_iter().next() {
        return Err(DomainError::ByHand(device));
    }
    let closings = Closings::of(wish.keep_privileges);
    let devices = child(domain, "devices").ok_or(DomainError::Without("devices"))?;
    let mut edits = Edits::new(xml);
    wish::elements(domain).for_each(|element| edits.remove(element));
    put(&mut edits, domain, "metadata", wish.xml());

    let words = command(os);
    let program = program(&words).ok_or(DomainError::NoProgram)?;
    let user = user(os, &words)?;
    for name in ["inituser", "initgroup"] {
        os.children().filter(|node| node.has_tag_name(name)).for_each(|node| edits.remove(node));
    }
    let init = child(os, "init");
    os.children().filter(|node| node.has_tag_name("initarg")).for_each(|node| edits.remove(node));
    let gated: Vec<String> =
        closings.gate(user, &wish.netlink).into_iter().chain(program.iter().cloned()).collect();
    let element = |(at, word): (usize, &String)| {
        let tag = if at == 0 { "init" } else { "initarg" };
        format!("<{tag}>{}</{tag}>", escape(word))
    };
    let lines: Vec<String> = gated.iter().enumerate().map(element).collect();
    match init {
        Some(node) => {
            let space = format!("\n{}", edits.indentation(node.range().start));
            edits.replace(node, lines.join(&space));
        }
        None => edits.append(os, &lines),
    }

    let features = child(domain, "features");
    let mut lines = Vec::new();
    let has = |name: &str| features.and_then(|node| child(node, name));
    if has("privnet").is_none() {
        lines.push("<privnet/>".to_owned());
    }
    let capabilities = closings.capabilities();
    if let Some(own) = has("capabilities").filter(|own| capabilities.is_some() || is_ours(*own)) {
        edits.remove(own);
    }
    lines.extend(capabilities.into_iter().flatten());
    put(&mut edits, domain, "features", lines);

    mounts(domain, FOLDER).for_each(|node| edits.remove(node));
    edits.append(devices, &mounted(FOLDER, FOLDER, true));
    Ok(edits.done())
}

/// Whether a `<capabilities>` is what was written for a domain that is closed as a whole.
fn is_ours(own: Node<'_, '_>) -> bool {
    let written = |node: Node<'_, '_>| {
        format!("  <{} state='{}'/>", node.tag_name().name(), node.attribute("state").unwrap_or_default())
    };
    let mut own: Vec<String> = own.children().filter(Node::is_element).map(written).collect();
    let mut ours: Vec<String> = Closings::Whole.capabilities().unwrap_or_default();
    ours.retain(|line| line.contains("state="));
    own.sort_unstable();
    ours.sort_unstable();
    own == ours
}

/// Lines for a child of the domain that may not be there yet.
fn put(edits: &mut Edits<'_>, domain: Node<'_, '_>, name: &str, lines: Vec<String>) {
    match child(domain, name) {
        Some(node) => edits.append(node, &lines),
        None if lines.is_empty() => {}
        None => {
            let inner = lines.into_iter().map(|line| format!("  {line}"));
            let all: Vec<String> =
                std::iter::once(format!("<{name}>")).chain(inner).chain([format!("</{name}>")]).collect();
            edits.append(domain, &all);
        }
    }
}

fn mounted(source: &str, target: &str, read_only: bool) -> Vec<String> {
    let mut lines = vec![
        "<filesystem type='mount' accessmode='passthrough'>".to_owned(),
        format!("  <source dir='{}'/>", attribute(source)),
        format!("  <target dir='{}'/>", attribute(target)),
    ];
    lines.extend(read_only.then(|| "  <readonly/>".to_owned()));
    lines.push("</filesystem>".to_owned());
    lines
}

/// Between single quotation marks.
fn attribute(text: &str) -> String {
    escape(text).replace('\'', "&apos;")
}

/// A domain that is made anew.
pub struct Fresh<'a> {
    pub name: &'a str,
    pub root: &'a str,
    pub memory_mib: u32,
    pub command: &'a [String],
}

/// Its XML, without NICs.
pub fn fresh(domain: &Fresh<'_>) -> String {
    let mut lines = vec![
        "<domain type='lxc'>".to_owned(),
        format!("  <name>{}</name>", escape(domain.name)),
        format!("  <memory unit='MiB'>{}</memory>", domain.memory_mib),
        "  <os>".to_owned(),
        "    <type>exe</type>".to_owned(),
    ];
    for (at, word) in domain.command.iter().enumerate() {
        let tag = if at == 0 { "init" } else { "initarg" };
        lines.push(format!("    <{tag}>{}</{tag}>", escape(word)));
    }
    lines.extend(["  </os>", "  <devices>"].map(str::to_owned));
    lines.extend(mounted(domain.root, "/", false).into_iter().map(|line| format!("    {line}")));
    lines.extend(["    <console type='pty'/>", "  </devices>", "</domain>", ""].map(str::to_owned));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LINK_TIMEOUT;
    use nicdock_core::request::Profile;
    use nicdock_core::request::{Memlock, NicRequest};

    fn wish(select: &str, keep_privileges: bool) -> Wish {
        let nic =
            NicRequest { link_timeout: Some(LINK_TIMEOUT), ..NicRequest::of(vec![select.parse().unwrap()]) };
        let (memlock, view) = (Memlock::Unlimited, Profile::Nic);
        Wish { nics: vec![nic], memlock, view, keep_privileges, netlink: Vec::new() }
    }

    fn base() -> String {
        let command = ["/bin/sh".to_owned(), "-c".to_owned(), "a <b> && c".to_owned()];
        fresh(&Fresh { name: "mpi", root: "/srv/a'b", memory_mib: 512, command: &command })
    }

    #[test]
    fn a_domain_gets_what_it_needs_and_says_so_to_the_hook() {
        let text = with(&base(), &wish("rxe1", false)).unwrap();
        let document = Document::parse(&text).unwrap();
        let domain = document.root_element();
        let words = command(child(domain, "os").unwrap());
        assert_eq!(program(&words).unwrap(), ["/bin/sh", "-c", "a <b> && c"]);
        let features = child(domain, "features").unwrap();
        assert!(child(features, "privnet").is_some());
        assert_eq!(child(features, "capabilities").unwrap().attribute("policy"), Some("deny"));
        let Said::Nics(said) = said(&text).unwrap() else { panic!("nothing is said") };
        assert!(said.is_gated && said.name == "mpi" && said.controller.is_none());
        assert_eq!(said.wish.xml(), wish("rxe1", false).xml());
    }

    #[test]
    fn to_say_it_again_changes_nothing_but_what_is_said() {
        let once = with(&base(), &wish("rxe1", false)).unwrap();
        assert_eq!(with(&once, &wish("rxe1", false)).unwrap(), once);
        let other = with(&once, &wish("rxe2", false)).unwrap();
        assert_eq!(other, once.replace("rxe1", "rxe2"));
    }

    #[test]
    fn a_domain_that_keeps_its_privileges_keeps_its_own_capabilities_element() {
        let own = base().replace(
            "  <devices>",
            "  <features>\n    <capabilities policy='allow'/>\n  </features>\n  <devices>",
        );
        assert!(with(&own, &wish("rxe1", true)).unwrap().contains("<capabilities policy='allow'/>"));
        assert!(!with(&own, &wish("rxe1", false)).unwrap().contains("policy='allow'"));
        // What nicdock itself has put there is not its own.
        let closed = with(&base(), &wish("rxe1", false)).unwrap();
        assert!(!with(&closed, &wish("rxe1", true)).unwrap().contains("<capabilities"));
    }

    #[test]
    fn the_user_becomes_the_gates_affair_and_stays_so() {
        let own =
            base().replace("  </os>", "    <inituser>7</inituser>\n    <initgroup>8</initgroup>\n  </os>");
        let once = with(&own, &wish("rxe1", false)).unwrap();
        assert!(!once.contains("inituser") && once.contains("<initarg>7:8</initarg>"));
        assert_eq!(with(&once, &wish("rxe1", false)).unwrap(), once);
        let named = own.replace(">7<", ">me<");
        assert!(matches!(with(&named, &wish("rxe1", false)), Err(DomainError::User(_))));
    }

    #[test]
    fn what_is_no_container_or_says_two_things_is_refused() {
        let qemu = base().replace("type='lxc'", "type='kvm'");
        assert!(matches!(with(&qemu, &wish("rxe1", false)), Err(DomainError::NotLxc)));
        let once = with(&base(), &wish("rxe1", false)).unwrap();
        let element = wish("rxe2", false).xml().join("");
        let twice = once.replace("</metadata>", &format!("{element}</metadata>"));
        assert!(matches!(said(&twice), Err(DomainError::Twice)));
        assert!(matches!(said(&base()), Ok(Said::Nothing)));
        let ungated = base().replace("<devices>", &format!("<metadata>{element}</metadata><devices>"));
        assert!(matches!(said(&ungated), Ok(Said::Nics(domain)) if !domain.is_gated));
    }
}
