//! Fuzzes the parser of domains.

use nicdock_fuzzing::{check, samples};

use crate::{Said, Wish, said, with};

/// Domains of libvirt: what can be given a NIC says so afterwards, and giving it again changes nothing.
#[test]
fn domains() {
    let element = "<n:nics xmlns:n='https://nicdock.dev/libvirt/1'><n:nic select='rxe1'/></n:nics>";
    let document = roxmltree::Document::parse(element).expect("well-formed");
    let wish = Wish::read(document.root_element()).expect("complete");
    check(&samples!("domain"), |bytes| {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        let _ = said(text);
        let Ok(given) = with(text, &wish) else { return };
        if let Ok(Said::Nics(domain)) = said(&given) {
            assert!(domain.is_gated && domain.wish.xml() == wish.xml());
        }
        assert_eq!(with(&given, &wish).ok().as_ref(), Some(&given));
    });
}
