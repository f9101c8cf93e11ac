/** Drawn with the colour of the text around them; named by the button that holds them. */
function Icon({ path }: { path: string }) {
  return (
    <svg className="icon" viewBox="0 0 24 24" aria-hidden="true" fill="none" stroke="currentColor"
      strokeWidth="1.8" strokeLinecap="round" strokeLinejoin="round">
      <path d={path} />
    </svg>
  );
}

export const MenuIcon = () => <Icon path="M4 7h16M4 12h16M4 17h10" />;
export const PeopleIcon = () => (
  <Icon path="M9 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 20c.5-3.7 3-5.5 6.5-5.5s6 1.800 6.500 5.500M16 4.300a3.500 3.500 0 0 1 0 6.400M18 14.900c2 .8 3.200 2.500 3.500 5.100" />
);
export const PlusIcon = () => <Icon path="M12 5v14M5 12h14" />;
export const SendIcon = () => <Icon path="M5 12h13M12.500 5.500 19 12l-6.500 6.500" />;
export const EditIcon = () => <Icon path="m4 20 1-4.500L16 4.500a2 2 0 0 1 3 0l.5.5a2 2 0 0 1 0 3L8.500 19 4 20Z" />;
export const BinIcon = () => <Icon path="M4 7h16M9.500 7V4.500h5V7M6.500 7l.8 12.500h9.400L17.500 7" />;
export const CloseIcon = () => <Icon path="m6 6 12 12M18 6 6 18" />;
export const DownIcon = () => <Icon path="M12 5v14M6 13l6 6 6-6" />;
export const GearIcon = () => (
  <Icon path="M5 7h8M17 7h2M5 17h2M11 17h8M15 9.200a2.200 2.200 0 1 0 0-4.400 2.200 2.200 0 0 0 0 4.400ZM9 19.200a2.200 2.200 0 1 0 0-4.400 2.200 2.200 0 0 0 0 4.400Z" />
);
export const LockIcon = () => <Icon path="M6.500 11h11v8.500h-11zM8.500 11V8a3.500 3.500 0 0 1 7 0v3" />;
export const CheckIcon = () => <Icon path="m5 12.500 4.500 4.500L19 7.500" />;

export function Logo() {
  return (
    <svg className="logo" viewBox="0 0 32 32" aria-hidden="true">
      <path d="M6 4h20a4 4 0 0 1 4 4v12a4 4 0 0 1-4 4H15l-7 6v-6H6a4 4 0 0 1-4-4V8a4 4 0 0 1 4-4z" />
      <circle cx="10" cy="14" r="2" /><circle cx="16" cy="14" r="2" /><circle cx="22" cy="14" r="2" />
    </svg>
  );
}
