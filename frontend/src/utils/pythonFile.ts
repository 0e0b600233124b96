/** A strategy as a .py file of the user's machine. */

/** What the server takes at most. */
export const MAX_BYTES = 100_000

/** The text of a file; an Error in French when it cannot be a strategy. */
export async function readPython(file: File): Promise<string> {
  if (file.size > MAX_BYTES) throw new Error(`« ${file.name} » pèse ${Math.ceil(file.size / 1000)} ko : 100 ko au plus.`)
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await file.arrayBuffer())
    if (text.includes('\0')) throw new TypeError('octet nul')
    return text.replace(/\r\n?/g, '\n')
  } catch {
    throw new Error(`« ${file.name} » n’est pas un texte en UTF-8.`)
  }
}

/** The strategy's name that a file proposes: its own, without extension. */
export function nameOfFile(file: File): string {
  return file.name.replace(/\.py$/i, '').replaceAll('_', ' ').trim().slice(0, 100) || 'Stratégie importée'
}

/** The name of the file that a strategy proposes. */
export function fileOfName(name: string): string {
  const plain = name.normalize('NFD').replace(/\p{M}/gu, '').replace(/[^\w-]+/g, '_').replace(/^_+|_+$/g, '')
  return `${plain || 'strategie'}.py`
}

/** Has the browser download the text. */
export function savePython(name: string, code: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(new Blob([code], { type: 'text/x-python;charset=utf-8' }))
  link.download = fileOfName(name)
  link.click()
  URL.revokeObjectURL(link.href)
}
