// The places that an architecture touches agree: src/arch (the registry), scripts/parity/references (cases, tiny and of the document's
// size), test/golden/models, docs/models.md and scripts/parity/requirements.txt. Reads sources only; nothing needs to be built.
// Alone: node --test test/zoo.test.js
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { root } from './helpers/make.js';

const read = (/** @type {string} */ path) => readFileSync(join(root, path), 'utf8');
const files = (/** @type {string} */ folder, /** @type {string} */ ending) => Object.fromEntries(readdirSync(join(root, folder))
  .filter((name) => name.endsWith(ending) && !name.startsWith('_')).sort()
  .map((name) => [name.slice(0, -ending.length), read(`${folder}/${name}`)]));

/** The arguments of each `Case(...)` in a reference file. @param {string} text */
function casesOf(text) {
  const cases = [];
  for (const { index } of text.matchAll(/(?<=\bCase)\(/g)) {
    let depth = 0;
    let end = index;
    for (const { 0: token, index: at } of text.slice(index).matchAll(/"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|#.*|[()]/g)) {
      depth += token === '(' ? 1 : token === ')' ? -1 : 0;
      end = index + at;
      if (!depth) break;
    }
    const args = text.slice(index + 1, end);
    const name = /^\s*f?["']([^"']+)/.exec(args)?.[1];
    if (!name) continue; // the class itself, or a helper that is handed the name
    cases.push({
      name, pattern: new RegExp(`^${name.replace(/\{[^}]*\}/g, '\\w+')}$`), tiny: /\bkeep\s*=/.test(args),
      parameters: [...args.matchAll(/\bparameters\s*=\s*([\d_]+)/g)].map(([, n]) => n.replaceAll('_', ''))[0],
      q8: /\bq8\s*=\s*["'](\w+)/.exec(args)?.[1], least: Number(/\bleast\s*=\s*([\d.]+)/.exec(args)?.[1] ?? 0.95), why: /\bwhy\s*=\s*f?["']\S/.test(args),
    });
  }
  return cases;
}

/** @param {string} text @param {string} title */
const section = (text, title) => text.split(/^(?=## )/m).find((part) => part.startsWith(`## ${title}\n`)) ?? '';

/**
 * Every disagreement, each with the name of what is missing or differs.
 * @param {{ archs: Record<string, string>, references: Record<string, string>, golden: Record<string, { arch: string }>, docs: string, requirements: string, common: string[] }} zoo
 */
function faults({ archs, references, golden, docs, requirements, common }) {
  /** @type {string[]} */
  const found = [];
  const need = (/** @type {unknown} */ holds, /** @type {string} */ fault) => { if (!holds) found.push(fault); };
  const rows = new Map(section(docs, 'Architectures').split('\n').filter((line) => /^\| \[/.test(line))
    .map((line) => line.split('|').map((cell) => cell.trim())).map((cells) => [/\[(\w+)\]/.exec(cells[1])?.[1], cells]));
  const all = Object.entries(references).flatMap(([file, text]) => casesOf(text).map((one) => ({ ...one, file })));
  for (const name of rows.keys()) need(archs[name], `docs/models.md has a row for ${name}, src/arch has no such file`);
  for (const [file, text] of Object.entries(references)) {
    need(archs[file], `scripts/parity/references/${file}.py belongs to no file of src/arch`);
    need(new RegExp(`^ARCH = ["']${file}["']$`, 'm').test(text), `scripts/parity/references/${file}.py does not say ARCH = "${file}"`);
  }
  for (const [name, { arch }] of Object.entries(golden)) {
    need(archs[arch], `test/golden/models/${name}.json is of ${arch}, src/arch has no such file`);
    need(casesOf(references[arch] ?? '').some((one) => one.tiny && one.pattern.test(name)), `test/golden/models/${name}.json has no tiny case in scripts/parity/references/${arch}.py`);
  }
  for (const one of all) {
    need(!one.tiny || Object.keys(golden).some((name) => one.pattern.test(name)), `case ${one.name} has no golden file`);
    need(one.least >= 0.95 || one.why, `case ${one.name} asks for less than 95 % in 8 bits and gives no reason (why)`);
  }
  const first = [...(/^The smaller \.wasm files have ([^.]*)\./m.exec(docs)?.[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name);
  need(common.length && String(first) === String(common), `docs/models.md says that the smaller files have ${first}; the Makefile says COMMON := ${common.join(' ')}`);
  for (const name of common) need(archs[name], `the Makefile's COMMON has ${name}, src/arch has no such file`);
  const table = /<!-- q8:.*?-->\n([^]*?)<!-- \/q8 -->/.exec(docs)?.[1].split('\n').filter((line) => line.startsWith('|')).slice(2) ?? [];
  for (const line of table) {
    const [, name, asked, same, , , at, why] = line.split('|').map((cell) => cell.trim());
    const of = all.find((one) => !one.tiny && one.pattern.test(name))?.file;
    need(of, `docs/models.md: the row of 8 bits ${name} is no case`);
    const [, winners, count] = /^(\d+) of (\d+)$/.exec(same) ?? [];
    need(!count || Number(winners) >= (parseFloat(asked) / 100) * Number(count), `docs/models.md: the row of 8 bits ${name} has ${same}, less than the ${asked} asked for`);
    need(count || !of || section(docs, of).replace(/\s+/g, ' ').includes(`8 bits of \`${name}\` are not counted: `),
      `docs/models.md: the row of 8 bits ${name} has no count, and its section does not say why ("8 bits of \`${name}\` are not counted: ...")`);
    need(!count || /^(earlier|[0-9a-f]{7,})$/.test(at), `docs/models.md: the row of 8 bits ${name} does not say which core was counted with`);
    need(parseFloat(asked) >= 95 || why, `docs/models.md: the row of 8 bits ${name} asks for less than 95 % and gives no reason`);
  }
  for (const one of all) need(one.tiny || one.q8 !== 'top1' || table.some((line) => one.pattern.test(line.split('|')[1].trim())), `docs/models.md has no row of 8 bits for ${one.name}`);
  for (const [arch, source] of Object.entries(archs)) {
    const [, , paper = '', reference = '', , parameters = ''] = rows.get(arch) ?? [];
    const text = section(docs, arch);
    const cases = casesOf(references[arch] ?? '');
    const big = cases.filter((one) => !one.tiny);
    need(rows.has(arch), `docs/models.md has no row for ${arch}`);
    need(text, `docs/models.md has no section ## ${arch}`);
    need(references[arch], `scripts/parity/references/${arch}.py is missing`);
    need(golden[`${arch}_tiny`]?.arch === arch, `test/golden/models/${arch}_tiny.json is missing`);
    need(big.length, `${arch} has no case of its document's size`);
    need(big.some((one) => one.q8) || /8 bits are not compared/.test(text),
      `no case of ${arch} is run in 8 bits, and its section does not say why ("8 bits are not compared: ...")`);
    const judged = big.filter((one) => one.q8);
    need(judged.some((one) => one.q8 === 'top1') || !judged.length || /cosine[^.]*\b0\.9|\b0\.9\d*[^.]*cosine/.test(text.replace(/\s+/g, ' ')),
      `${arch} has no classes to count in 8 bits, and its section gives no cosine`);
    if (!rows.has(arch) || !big.length) continue;
    need(big.some((one) => one.parameters === parameters.replaceAll(',', '')),
      `docs/models.md gives ${arch} ${parameters} parameters, its cases ${big.map((one) => one.parameters).filter(Boolean).join(', ') || 'none'}`);
    for (const [key, cell] of [['paper', paper], ['reference', reference]]) {
      const said = new RegExp(`\\.${key} = "([^"]*)"`).exec(source)?.[1] ?? '';
      const begin = said.split(', ')[0].split(' and ')[0];
      need(begin && cell.replaceAll('`', '').startsWith(begin), `docs/models.md: the ${key} of ${arch} is "${cell}", src/arch/${arch}.c has "${said}"`);
      const [, name, version] = /^([A-Za-z-]+) (\d[\w.]*)$/.exec(begin) ?? [];
      if (key === 'reference' && name) need(requirements.includes(`\n${name.toLowerCase()}==${version}\n`), `${arch}: scripts/parity/requirements.txt has no ${name.toLowerCase()}==${version}`);
    }
  }
  return found;
}

const zoo = () => ({
  archs: files('src/arch', '.c'),
  references: files('scripts/parity/references', '.py'),
  golden: Object.fromEntries(Object.entries(files('test/golden/models', '.json')).map(([name, text]) => [name, { arch: JSON.parse(text).arch }])),
  docs: read('docs/models.md'),
  requirements: read('scripts/parity/requirements.txt'),
  common: /^COMMON := (.*)$/m.exec(read('Makefile'))?.[1].split(' ') ?? [],
});

test('registry, reference cases, golden files and docs/models.md agree', () => {
  const { archs, references } = zoo();
  assert.ok(Object.keys(archs).length > 20 && casesOf(references.vit).length > 10, 'the sources were not read');
  assert.deepEqual(faults(zoo()), []);
});

test('each disagreement is found and named', () => {
  const breaks = /** @type {[string, (zoo: any) => void, RegExp][]} */ ([
    ['no reference', (z) => { delete z.references.cait; }, /references\/cait\.py is missing/],
    ['a reference of nothing', (z) => { z.references.cat = 'ARCH = "cat"\n'; }, /cat\.py belongs to no file/],
    ['another ARCH', (z) => { z.references.cait = z.references.cait.replace('ARCH = "cait"', 'ARCH = "vit"'); }, /cait\.py does not say ARCH/],
    ['no golden file', (z) => { delete z.golden.cait_tails; }, /case cait_tails has no golden/],
    ['no tiny golden file', (z) => { delete z.golden.cait_tiny; }, /cait_tiny\.json is missing/],
    ['a golden file of no case', (z) => { z.golden.cait_more = { arch: 'cait' }; }, /cait_more\.json has no tiny case/],
    ['a golden file of no architecture', (z) => { z.golden.cat_tiny = { arch: 'cat' }; }, /cat_tiny\.json is of cat/],
    ['no case of the document', (z) => { z.references.cait = z.references.cait.replace(/Case\("cait_document"/, 'Other("cait_document"'); }, /cait has no case of its document/],
    ['other parameters', (z) => { z.docs = z.docs.replace('| 121,839,592 |', '| 121,839,593 |'); }, /gives cait 121,839,593 parameters, its cases 121839592/],
    ['no row', (z) => { z.docs = z.docs.replace(/^\| \[cait\].*\n/m, ''); }, /no row for cait/],
    ['a row of nothing', (z) => { z.docs = z.docs.replace(/^\| \[cait\]/m, '| [cat](#cat) | | |\n| [cait]'); }, /a row for cat,/],
    ['no section', (z) => { z.docs = z.docs.replace('\n## cait\n', '\n## cat\n'); }, /no section ## cait/],
    ['another paper', (z) => { z.docs = z.docs.replace('Touvron et al. 2021, arXiv 2103.17239', 'Nobody 2021'); }, /the paper of cait is "Nobody 2021"/],
    ['another version', (z) => { z.requirements = z.requirements.replace('timm==', 'timm==1'); }, /gcvit: scripts\/parity\/requirements\.txt has no timm==/],
    ['less in 8 bits, no reason', (z) => { z.references.cait += 'Case("cait_more", {}, {}, q8="top1", least=0.5)\n'; }, /case cait_more asks for less/],
    ['less in 8 bits, no reason in the table', (z) => { z.docs = z.docs.replace('<!-- /q8 -->', '| vit_std | 90% | 180 of 200 | 9% | 9% | earlier | |\n<!-- /q8 -->'); }, /8 bits vit_std asks for less/],
    ['a count below what is asked for', (z) => { z.docs = z.docs.replace('<!-- /q8 -->', '| vit_std | 95% | 189 of 200 | 9% | 9% | earlier | |\n<!-- /q8 -->'); }, /vit_std has 189 of 200, less than/],
    ['a row without a count', (z) => { z.docs = z.docs.replace(/^(\| xcit_document \| \d+% \|).*$/m, '$1 | | | | |'); }, /8 bits xcit_document has no count, and its section/],
    ['a row without a count, and a reason elsewhere', (z) => { z.docs += '8 bits of `vivit_document_self` are not counted: why'; z.docs = z.docs.replace(/^(\| vivit_document_self \| \d+% \|).*$/m, '$1 | | | | |'); },
      /8 bits vivit_document_self has no count, and its section/],
    ['no classes, and no cosine', (z) => { z.docs = z.docs.replace(/\(cosine of pictures at least 0\.9996\)/g, ''); }, /simmim has no classes to count in 8 bits/],
    ['a count of some build', (z) => { z.docs = z.docs.replace('<!-- /q8 -->', '| vit_std | 95% | 190 of 200 | 9% | 9% | 5abc | |\n<!-- /q8 -->'); }, /vit_std does not say which core/],
    ['no row of 8 bits', (z) => { z.docs = z.docs.replace(/^\| cait_document \|.*\n/m, ''); }, /no row of 8 bits for cait_document/],
    ['another list of the smaller files', (z) => { z.common = z.common.slice(1); }, /the smaller files have cait,/],
    ['a common one that is not there', (z) => { z.common.push('cat'); }, /COMMON has cat/],
    ['no 8 bits', (z) => { z.references.cait = z.references.cait.replace(', q8="top1"', ''); }, /no case of cait is run in 8 bits/],
  ]);
  for (const [what, change, expected] of breaks) {
    const broken = zoo();
    change(broken);
    const found = faults(broken);
    assert.ok(found.some((fault) => expected.test(fault)), `${what}: ${JSON.stringify(found)}`);
  }
});
