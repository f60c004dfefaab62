# Installs, upgrades and removes a package in a copy of another root that lives in memory.
# Arguments: the root, a folder to mount on, the package, the package with the next version.
set -eu
root=$1 folder=$2 package=$3 newer=$4

mount -t tmpfs none "$folder"
cd "$folder"
mkdir upper work root
mount -t overlay -o "lowerdir=$root,upperdir=upper,workdir=work" none root
cp "$package" root/zubi.deb
cp "$newer" root/zubi-newer.deb
cd root

# Everything but dpkg's own books: kind, mode, owner, size and time of files, where links lead.
list() {
    find . -xdev \( -path ./var/lib/dpkg -o -path ./var/log/dpkg.log \) -prune -o \
        \( -type d -printf '%y %m %U:%G %p\n' -o -printf '%y %m %U:%G %s %T@ %p %l\n' \) | sort
}
installs() {
    chroot . dpkg --install "$1" >"$folder/said" 2>&1 || { cat "$folder/said"; exit 1; }
    want=$(dpkg-deb --field ".$1" Version)
    has=$(chroot . dpkg-query --show --showformat '${Version}' zubi)
    [ "$has" = "$want" ] || { echo "version $has instead of $want"; exit 1; }
    chroot . zubi --version >/dev/null
    chroot . dpkg --verify zubi
}

list >"$folder/before"
installs /zubi.deb
chroot . dpkg --listfiles zubi >"$folder/files"
installs /zubi-newer.deb
chroot . dpkg --listfiles zubi | diff "$folder/files" -
chroot . dpkg --remove zubi >"$folder/said" 2>&1 || { cat "$folder/said"; exit 1; }
if chroot . dpkg-query --show zubi >/dev/null 2>&1; then
    echo 'dpkg still knows zubi'
    exit 1
fi
list | diff "$folder/before" -
