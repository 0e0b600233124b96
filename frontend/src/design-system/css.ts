import { scale, themes, type ThemeName } from './tokens.ts'

const declarations = (tokens: Record<string, string>): string =>
  Object.entries(tokens)
    .map(([name, value]) => `  --${name}: ${value};`)
    .join('\n')

/** Builds the style sheet that declares every token as a CSS variable, per theme. */
export function tokensCss(): string {
  const blocks = [`:root {\n${declarations(scale)}\n}`]
  for (const name of Object.keys(themes) as ThemeName[]) {
    const body = `  color-scheme: ${name};\n${declarations(themes[name])}`
    blocks.push(`:root[data-theme='${name}'] {\n${body}\n}`)
  }
  return blocks.join('\n\n')
}
