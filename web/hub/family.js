// @ts-check
/** The types of the folder loader, and nothing that runs. */

/**
 * What a family sees of a checkpoint.
 * @typedef {object} Checkpoint
 * @property {any} config config.json of transformers (a nested vision_config already taken out), or timm's model_args
 * @property {any} outer config.json itself
 * @property {string | null} timm timm's name of the architecture; null: transformers
 * @property {any} pretrained timm's pretrained_cfg; {} for transformers
 * @property {boolean} [encoderOnly] what is behind the encoder is not to be loaded (MAE's decoder)
 * @property {(name: string) => number[] | undefined} shape of a tensor, by its name in the file
 * @property {string[]} names of all tensors, without a wrapper's prefix
 * @property {(rules: Rules) => (name: string) => string[]} compile what rules call a tensor; nothing: not loaded
 */

/**
 * The first pattern that matches the whole name of a tensor says what it is called in our file; what none matches is
 * not loaded, nor is what becomes "". In a pattern that is a string "." is a dot, "#" a number, "*" weight or bias
 * (each of the two is a group); the rest is a RegExp's. The new name may be several, with a space between them. Each
 * may end in
 * "@i": part i of a concatenation along dim 0 (a part that is not there is zeros); or in ":a-b/n": of the tensor's n
 * equal parts along dim 0 those from a to b.
 * @typedef {[RegExp | string, string][]} Rules
 */

/**
 * @typedef {object} Translation
 * @property {string} arch
 * @property {Record<string, any>} config of our architecture
 * @property {Rules} rules
 * @property {Record<string, number[]>} [shapes] of our tensors, where they are to be written otherwise
 * @property {boolean} [anySize] pictures of any size do: image_size becomes the one of the preprocessing
 */

/**
 * What a family's module exports as `read`. It throws an Error of one sentence for what it cannot translate.
 * @typedef {(checkpoint: Checkpoint) => Translation} Read
 */

export {};
