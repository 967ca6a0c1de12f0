// @ts-check
/**
 * Preprocessing of checkpoints: from an image processor of transformers, or a pretrained_cfg of timm, to our
 * `preprocess` (docs/format.md). scripts/parity/hub_preprocess.py compares the pixels with those of the libraries.
 */

/** @typedef {any} Json */

/** Pillow's numbers. */
const FILTERS = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'];
const imagenet = { image_mean: [0.485, 0.456, 0.406], image_std: [0.229, 0.224, 0.225] };
const every = {
  do_resize: true,
  do_rescale: true,
  do_normalize: true,
  default_to_square: true,
  size: 224,
  resample: 3,
  rescale_factor: 1 / 255,
  image_mean: 0.5,
  image_std: 0.5,
};
const crops = { default_to_square: false, size: { shortest_edge: 224 }, do_center_crop: true, crop_size: 224 };
const clip = {
  ...crops,
  image_mean: [0.48145466, 0.4578275, 0.40821073],
  image_std: [0.26862954, 0.26130258, 0.27577711],
};

/**
 * The classes of processors, with their defaults; `models`: the model_types that have it where no file names one.
 * @type {Record<string, Json>}
 */
const PROCESSORS = {
  vit: { models: /^(vit|ijepa|swin)/, resample: 2 },
  deit: { models: /^deit/, size: 256, do_center_crop: true, crop_size: 224 },
  beit: { models: /^(beit|data2vec)/, crop_size: 224 },
  bit: { models: /^(bit|dinov2|hiera|focalnet|pixio)/, ...clip },
  clip: { models: /clip/, ...clip },
  siglip: { models: /^siglip(_|$)/, default_to_square: false, size: [224, 224] },
  convnext: {
    models: /^(convnext|cvt|resnet|regnet)/,
    default_to_square: false,
    size: { shortest_edge: 384 },
    crop_pct: 224 / 256,
  },
  levit: { models: /^levit/, ...crops, ...imagenet },
  mobilevit: { models: /^mobilevit/, ...crops, crop_size: 256, do_flip_channel_order: true },
  dinov3vit: { models: /^dinov3/, resample: 2, ...imagenet },
  pvt: { models: /^pvt/, ...imagenet },
  efficientnet: { models: /^efficientnet/, size: 346, crop_size: 289, include_top: true },
};

/** Keys whose null means no, as in the library. Other nulls it refuses; older versions took the default for them. */
const SWITCH = /^(do_|default_to|include_|rescale_o)/;

/** [height, width] of an integer, a list or a { height, width }; else undefined. @param {Json} size @returns {Json} */
const sides = (size) =>
  typeof size === 'number' ? [size, size] : size.height && size.width ? [size.height, size.width] : size[1] && size;

/** @param {Json} value @param {(x: number) => number} change */
const each = (value, change) => [].concat(value).map(change);

/** @param {string} what @returns {never} */
function refuse(what) {
  throw new Error(`image processor ${what}; give the model a "preprocess" of its own (docs/format.md)`);
}

/** @param {Json} cfg as in timm, 0, '' and null are as good as missing */
function fromTimm({ input_size, interpolation, crop_pct, crop_mode, mean, std }) {
  const [, ...size] = input_size || [3, 224, 224];
  const share = crop_pct || 0.875;
  const squash = crop_mode === 'squash';
  return {
    size,
    resize: interpolation === 'random' ? 'bilinear' : interpolation || 'bicubic',
    fit: squash || crop_mode === 'border' ? crop_mode : 'crop',
    ...(squash ? { resize_size: each(size, (side) => Math.floor(side / share)) } : { crop_pct: share }),
    mean: mean || imagenet.image_mean,
    std: std || imagenet.image_std,
  };
}

/**
 * @param {object} from
 * @param {Json} [from.config] config.json
 * @param {Json} [from.processor] preprocessor_config.json, or `image_processor` of processor_config.json; null if there
 *   is neither: then the class's defaults for config's image_size
 * @param {string} [from.type] transformers' model_type, which tells the class where the file does not
 * @param {Json} [from.timm] timm's pretrained_cfg, which then says all
 * @returns {Record<string, Json>} `preprocess`; throws where the core cannot do what the processor does
 */
export function preprocessOf({ config, processor, type = config?.model_type, timm }) {
  if (timm) return fromTimm(timm);
  const name = processor?.image_processor_type ?? processor?.feature_extractor_type;
  const wanted = String(name)
    .toLowerCase()
    .replace(/(imageprocessor|featureextractor).*/, '');
  const names = Object.keys(PROCESSORS);
  const kind = names.find((key) => (name ? key === wanted : PROCESSORS[key].models.test(type)));
  if (!kind) return refuse(`${name ?? `of ${type}`} is none of ${names}`);
  const own = { ...every, ...PROCESSORS[kind] };
  for (const key in processor) if (processor[key] !== null || SWITCH.test(key)) own[key] = processor[key];

  const size = typeof own.size === 'number' && !own.default_to_square ? { shortest_edge: own.size } : own.size;
  let whole = sides(size);
  let edge = size.shortest_edge;
  let crop = own.do_center_crop && own.crop_size ? sides(own.crop_size) : undefined;
  const side = config?.image_size ?? config?.vision_config?.image_size;
  if (!processor && side > 0) {
    // no file says a size, and the library refuses that: the class's steps to the model's own size
    const scaled = (/** @type {number} */ n) => Math.round((n * side) / (crop ?? whole ?? [edge])[0]);
    [whole, edge, crop] = [whole?.map(scaled), edge && scaled(edge), crop?.map(scaled)];
  }
  let unknown = own.do_pad && own.pad_size;
  if (kind === 'levit' && edge) edge = Math.trunc((256 / 224) * edge);
  if (kind === 'convnext' && edge >= 384) whole = [edge, edge];
  else if (kind === 'convnext' && edge) {
    const square = [edge, edge];
    unknown ||= crop && `${crop}` !== `${square}`;
    edge = Math.trunc(edge / own.crop_pct);
    crop = square;
  }
  const fit = !own.do_resize
    ? { fit: 'none', size: crop }
    : whole
      ? { fit: 'squash', size: crop ?? whole, resize_size: crop && whole }
      : crop && edge && { fit: 'crop', size: crop, shortest_edge: edge, longest_edge: size.longest_edge ?? undefined };
  if (unknown) refuse('crops or pads twice');
  if (!fit) refuse(`makes images of many sizes (${JSON.stringify(size)}, no crop)`);

  const normal = own.do_normalize && kind !== 'mobilevit';
  const offset = own.rescale_offset && own.do_rescale ? 1 : 0;
  const power = Number(!!normal) + Number(!!own.include_top);
  return {
    ...fit,
    resize: FILTERS[own.resample] ?? own.resample,
    crop_offset: crop || !own.do_resize ? 'floor' : undefined,
    rescale_factor: own.do_rescale ? own.rescale_factor : 1,
    mean: each(own.image_mean, (x) => (normal ? x : 0) + offset),
    std: each(own.image_std, (x) => x ** power),
    bgr: own.do_flip_channel_order || undefined,
    rescale_first: (kind === 'dinov3vit' && own.do_rescale) || undefined,
  };
}
