/**
 * A UUID nobody else makes.
 *
 * Not `crypto.randomUUID`: browsers offer it on secure pages only, and a cockpit on the local network by plain HTTP is none.
 */
export function newId(): string {
  const bytes = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte, index) => {
    if (index === 6) return (byte & 0x0f) | 0x40 // version 4
    return index === 8 ? (byte & 0x3f) | 0x80 : byte // variant of RFC 9562
  })
  const hex = bytes.map((byte) => byte.toString(16).padStart(2, '0')).join('')
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, '$1-$2-$3-$4-$5')
}
