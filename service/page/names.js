// What this browser's user calls an upload: the service knows only digests, and should.

const PLACE = "lesion.names";
const MOST = 300;

function all() {
  try {
    return new Map(JSON.parse(localStorage.getItem(PLACE) ?? "[]"));
  } catch {
    return new Map();
  }
}

/** Remember the file name that a digest had here. */
export function remember(digest, name) {
  const known = all();
  known.delete(digest); // so that it becomes the youngest
  known.set(digest, name.slice(0, 80));
  try {
    localStorage.setItem(PLACE, JSON.stringify([...known].slice(-MOST)));
  } catch {
    // A browser that stores nothing shows digests.
  }
}

/** All names at once, as a function of the digest; undefined for what never was a file here. */
export function names() {
  const known = all();
  return (digest) => known.get(digest);
}
