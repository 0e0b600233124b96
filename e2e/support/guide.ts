/**
 * The user guide's pictures, taken while the product is played, and what keeps the guide true.
 *
 * Each picture is taken from the running product with the words that are on the screen at that moment. The guide
 * writes in **bold** only what a person reads there: a bold word that no picture of its chapter shows is a lie, and
 * fails. The words of the committed pictures' titles, fields and columns are kept beside them: one that the product no
 * longer shows makes the picture old, and fails too. `ARISTOBOT_GUIDE=write` takes the pictures anew.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Page } from '@playwright/test'
import { RESULTS } from './instance.ts'

const GUIDE = resolve(import.meta.dirname, '..', '..', 'docs', 'guide')
const IMAGES = join(GUIDE, 'images')
const LABELS = join(IMAGES, 'labels.json')
const WRITES = process.env.ARISTOBOT_GUIDE === 'write'
const FIXED_WORDS = 'h1, h2, h3, label, legend, th, dt, [role=tab], nav a'

interface Shot {
  /** Everything a person can read, spaces made plain. */
  words: string
  /** Titles, fields and columns, without figures. */
  labels: string[]
}

const plain = (text: string): string => text.replace(/[\s\u00A0\u202F]+/g, ' ').trim()
const unnumbered = (text: string): string => plain(text.replace(/[\d.,:]+/g, ' '))

async function read(page: Page): Promise<Shot> {
  const [said, labels] = await page.evaluate((selector) => {
    const visible = (node: Element): boolean => node.checkVisibility({ visibilityProperty: true })
    const named = Array.from(document.querySelectorAll('[aria-label], [placeholder], [title]')).filter(visible)
    const names = named.flatMap((node) => ['aria-label', 'placeholder', 'title'].map((name) => node.getAttribute(name) ?? ''))
    const values = Array.from(document.querySelectorAll('input')).filter(visible).map((node) => node.value)
    const fixed = Array.from(document.querySelectorAll<HTMLElement>(selector)).filter(visible).map((node) => node.innerText)
    return [[document.body.innerText, ...names, ...values].join(' \n '), fixed] as const
  }, FIXED_WORDS)
  return { words: plain(said).toLowerCase(), labels: [...new Set(labels.map(unnumbered).filter(Boolean))].sort() }
}

/** The pictures of one run. */
export class Album {
  private readonly shots = new Map<string, Shot>()

  constructor(private readonly page: Page) {}

  /** Photographs the screen as `<name>.png`. */
  async take(name: string): Promise<void> {
    this.shots.set(name, await read(this.page))
    const folder = WRITES ? IMAGES : join(RESULTS, 'guide')
    mkdirSync(folder, { recursive: true })
    await this.page.screenshot({ path: join(folder, `${name}.png`), animations: 'disabled', caret: 'hide' })
  }

  /** What is wrong with the guide, in sentences; empty when it tells what the pictures show. */
  verdict(): string[] {
    if (WRITES) this.write()
    return [...this.missing(), ...this.lies(), ...this.old()]
  }

  private write(): void {
    const labels = Object.fromEntries([...this.shots].map(([name, shot]) => [name, shot.labels]))
    writeFileSync(LABELS, `${JSON.stringify(labels, null, 1)}\n`)
    for (const file of readdirSync(IMAGES)) if (file.endsWith('.png') && !this.shots.has(file.slice(0, -4))) rmSync(join(IMAGES, file))
  }

  private missing(): string[] {
    const used = chapters().flatMap((chapter) => chapter.images)
    const kept = readdirSync(IMAGES).filter((file) => file.endsWith('.png')).map((file) => file.slice(0, -4))
    return [
      ...used.filter((name) => !this.shots.has(name)).map((name) => `the guide shows ${name}.png, which nobody takes`),
      ...[...this.shots.keys()].filter((name) => !used.includes(name)).map((name) => `${name}.png is taken, and not in the guide`),
      ...used.filter((name) => !kept.includes(name)).map((name) => `${name}.png is not in docs/guide/images`),
    ]
  }

  private lies(): string[] {
    return chapters().flatMap(({ title, images, bold }) => {
      const words = images.map((name) => this.shots.get(name)?.words ?? '').join(' ')
      return bold.filter((label) => !words.includes(label.toLowerCase())).map((label) => `« ${title} » says **${label}**, which its pictures do not show`)
    })
  }

  private old(): string[] {
    const kept = JSON.parse(readFileSync(LABELS, 'utf8')) as Record<string, string[]>
    return [...this.shots].flatMap(([name, shot]) =>
      (kept[name] ?? []).filter((label) => !shot.labels.includes(label)).map((label) => `${name}.png shows « ${label} », which is no longer there`),
    )
  }
}

interface Chapter {
  title: string
  images: string[]
  bold: string[]
}

function chapters(): Chapter[] {
  const text = readFileSync(join(GUIDE, 'README.md'), 'utf8')
  return text.split(/^## /m).slice(1).map((chapter) => ({
    title: chapter.split('\n', 1)[0] ?? '',
    images: [...chapter.matchAll(/\(images\/([\w-]+)\.png\)/g)].map(([, name]) => name ?? ''),
    bold: [...chapter.matchAll(/\*\*([^*]+)\*\*/g)].map(([, label]) => plain(label ?? '')),
  }))
}
