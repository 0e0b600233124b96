import { describe, expect, it } from 'vitest'
import { fileOfName, nameOfFile, readPython } from './pythonFile'

describe('a strategy as a file', () => {
  it('reads UTF-8 and evens out the line ends', async () => {
    expect(await readPython(new File(['a = 1\r\nb = "é"\r'], 'a.py'))).toBe('a = 1\nb = "é"\n')
  })

  it('refuses what is too large or no text', async () => {
    await expect(readPython(new File(['x'.repeat(100_001)], 'gros.py'))).rejects.toThrow('« gros.py » pèse 101 ko : 100 ko au plus.')
    await expect(readPython(new File([new Uint8Array([0xff, 0xfe, 0])], 'image.py'))).rejects.toThrow('n’est pas un texte')
  })

  it('gives names both ways', () => {
    expect(nameOfFile(new File([''], 'ema_cross.PY'))).toBe('ema cross')
    expect(fileOfName('Croisement EMA 10/20 été')).toBe('Croisement_EMA_10_20_ete.py')
    expect(fileOfName('///')).toBe('strategie.py')
  })
})
