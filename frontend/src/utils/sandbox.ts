/** What the engine says of the walls around users' code, in French. */

const WALLS: Record<string, string> = {
  network: 'réseau coupé',
  capabilities: 'droits retirés',
  no_new_privs: 'droits figés',
  limits: 'mémoire et calcul limités',
  landlock: 'fichiers fermés',
  seccomp: 'appels système filtrés',
}

export interface Sandbox {
  complete: boolean
  text: string
}

/** Null when the engine has said nothing: it is starting, or the sandbox failed. */
export function sandboxOf(details: Record<string, unknown>): Sandbox | null {
  const walls = Object.entries((details.sandbox ?? {}) as Record<string, string>)
  if (!walls.length) return null
  const missing = walls.filter(([, state]) => state !== 'ok')
  if (!missing.length) return { complete: true, text: `complet (${walls.map(([name]) => WALLS[name] ?? name).join(', ')})` }
  const absent = missing.map(([name, cause]) => `« ${WALLS[name] ?? name} » manque (${cause})`).join(', ')
  return {
    complete: false,
    text: `${walls.length - missing.length} murs sur ${walls.length} : ${absent}. N’exécutez que du code de confiance.`,
  }
}
