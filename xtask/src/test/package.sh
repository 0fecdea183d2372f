# In a fresh Debian root, as root, without a network: docs/quickstart.md's first commands, then what can go wrong.
old=$1 new=$2
mount -t proc proc /proc
cd /root
says() { grep -qF -- "$1" "$said" || { echo "not said: $1"; cat "$said"; exit 1; }; }
refused() { if "$@" > "$said" 2>&1; then echo "not refused: $*"; cat "$said"; exit 1; fi; }
said=$(mktemp)
trap 'rm -f "$said"' EXIT
has_systemd() { [ -e /usr/lib/systemd/systemd ]; }
link=/etc/systemd/system/timers.target.wants/nicdock-reconcile.timer

# What a new user types.
apt-get --yes install "./$old"
nicdock setup --dry-run | tee "$said"
if has_systemd; then says "make     $link"; else says 'skipped: no systemd is here'; fi
[ ! -e /var/lib/nicdock ]
nicdock setup
nicdock ls
nicdock setup --json > "$said"
says '"carried_out": true'
if has_systemd; then
    [ "$(readlink $link)" = /usr/lib/systemd/system/nicdock-reconcile.timer ]
    systemd-analyze verify /usr/lib/systemd/system/nicdock-reconcile.timer
    # It leaves this, which is no file of nicdock's.
    rm -f /run/systemd/systemd-units-load
    udevadm verify /usr/lib/udev/rules.d/90-nicdock.rules
fi
dpkg --verify nicdock
[ -x /usr/libexec/nicdock/nicdock-starter ]
[ -x /usr/libexec/nicdock/nicdock-runtime ]
zcat /usr/share/man/man1/nicdock-setup.1.gz > "$said"
says nicdock

# An upgrade keeps the set-up, a downgrade too.
apt-get --yes install "./$new"
apt-get --yes --allow-downgrades install "./$old"
if has_systemd; then [ -L $link ]; fi

# A lease of another format: nothing is unpacked.
mkdir -p /run/nicdock/leases
echo '{"checksum":"0","lease":{"schema":999}}' > /run/nicdock/leases/x.json
refused apt-get --yes install "./$new"
says 'has format 999'
dpkg-query --show --showformat '${Status} ${Version}' nicdock > "$said"
says "install ok installed $(echo "$old" | cut -d_ -f2)"
# A NIC that is given: the package stays.
refused apt-get --yes purge nicdock
says 'containers have NICs'
[ -x /usr/bin/nicdock ]
rm /run/nicdock/leases/x.json

if has_systemd; then
    nicdock setup --undo
    # A read-only /etc, and a full one.
    (
        mount --bind /etc /etc
        mount -o remount,bind,ro /etc
        refused nicdock setup
        says 'Read-only file system'
        umount /etc
    )
    [ ! -e $link ] && [ ! -e /var/lib/nicdock/setup.json ]
    mount -t tmpfs -o nr_inodes=2,size=64k tmpfs /etc/systemd/system
    refused nicdock setup
    says 'No space left on device'
    [ -z "$(ls -A /etc/systemd/system)" ]
    umount /etc/systemd/system
    [ ! -e /var/lib/nicdock/setup.json ]
    # A unit of the administrator's in the place of the package's: used, said, and left.
    cp /usr/lib/systemd/system/nicdock-reconcile.timer /etc/systemd/system/
    echo '# mine' >> /etc/systemd/system/nicdock-reconcile.timer
    nicdock setup > "$said"
    says "is used instead of the package's"
    # Two at once.
    exec 9> /run/nicdock/setup.lock
    flock 9
    refused nicdock setup
    says 'another nicdock setup is at work'
    exec 9>&-
fi

# Everything goes but what the administrator made.
apt-get --yes purge nicdock
if has_systemd; then
    grep -q '# mine' /etc/systemd/system/nicdock-reconcile.timer
    rm /etc/systemd/system/nicdock-reconcile.timer
fi
[ ! -e /usr/libexec/nicdock ] && [ ! -e /run/nicdock ] && [ ! -e /var/lib/nicdock ]
