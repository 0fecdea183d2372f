/// The text of a link from one path to another, as `kernfs_get_target_path()` of `fs/kernfs/symlink.c` makes it: up
/// to the common directory, and down.
pub fn relative(link: &str, to: &str) -> String {
    let from: Vec<&str> = link.split('/').collect();
    let from = &from[..from.len() - 1];
    let to: Vec<&str> = to.split('/').collect();
    let common = from.iter().zip(&to).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..", from.len() - common);
    up.chain(to[common..].iter().copied()).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests {
    use super::relative;

    #[test]
    fn links_are_written_as_the_kernel_writes_them() {
        let path = "devices/pci0000:00/0000:00:03.0";
        assert_eq!(
            relative("bus/pci/devices/0000:00:03.0", path),
            "../../../devices/pci0000:00/0000:00:03.0"
        );
        assert_eq!(
            relative(&format!("{path}/driver"), "bus/pci/drivers/enic"),
            "../../../bus/pci/drivers/enic"
        );
        let vf = "devices/pci0000:00/0000:00:03.1/physfn";
        assert_eq!(relative(vf, path), "../0000:00:03.0");
    }
}
