import { typographic } from '@/utils/format'

/** A refusal or a failure, in the server's own words: `{code, message, details}`. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly status: number,
    readonly details: Record<string, unknown> = {},
  ) {
    super(message)
    this.name = 'ApiError'
  }

  /** The server's message about one field of a form, if it gave one. */
  field(name: string): string | undefined {
    const fields = this.details.fields
    const own = fields && typeof fields === 'object' ? (fields as Record<string, unknown>)[name] : this.details[name]
    if (typeof own === 'string') return typographic(own)
    return Array.isArray(own) ? typographic(own.map(String).join(' ')) : undefined
  }
}

/** What to show for any thrown value. */
export function messageOf(error: unknown): string {
  return typographic(error instanceof Error ? error.message : String(error))
}
