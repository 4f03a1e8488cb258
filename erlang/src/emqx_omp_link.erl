%% The link as a whole: up or not, settings, health, configuration, when to try again.
%%
%% Its connections are processes that it starts together and ends together. They welcome one by one; when all have,
%% CONFIGURE goes out; with SETTINGS the link is up. Whatever ends it is one cause in words, logged once until it
%% changes, and the reason why EMQX shows the plugin as not well.
-module(emqx_omp_link).
-behaviour(gen_server).

-export([start_link/0, configure/2, health/0, engine/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2, format_status/1]).

%% ms until the first try after the link broke (`retry_delay` in the environment of the application), at most, and how
%% long a link must have been up for it to begin anew.
-define(LONGEST_DELAY, 30000).
-define(LONG_UP, 60000).
%% How long the engine may take for CONFIGURED, in ms: it answers within 30 s.
-define(CONFIGURE_TIMEOUT, 35000).
%% So many links in a row that an engine has left hanging, and one that EMQX has started is killed.
-define(MOST_HUNG, 3).
-define(SETTINGS_FILE, "settings.bin").

-record(state, {
    instance = crypto:strong_rand_bytes(16) :: binary(),
    %% A function: what it gives is in no report of a crash. What EMQX has, or what it has just given us and will have
    %% in a moment.
    configuration = fun emqx_omp_emqx:configuration/0 :: fun(() -> map()),
    %% Where the engine listens, once that is known.
    peer = unknown :: unknown | map(),
    connections = #{} :: #{Index :: non_neg_integer() => pid()},
    welcomed = #{} :: #{Index :: non_neg_integer() => true},
    up_since = down :: down | integer(),
    delay = first_delay() :: pos_integer(),
    retry = none :: none | reference(),
    hung = 0 :: non_neg_integer(),
    request = 0 :: non_neg_integer(),
    %% Who waits for CONFIGURED, and until when.
    asking = none :: none | {Request :: non_neg_integer(), none | gen_server:from(), reference(), fun(() -> map())},
    %% What is wrong, each undefined where nothing is: with the link, the configuration, the engine.
    trouble = <<"The engine has not been reached yet">> :: undefined | binary(),
    refused = undefined :: undefined | binary(),
    unwell = undefined :: undefined | binary(),
    logged = undefined :: undefined | binary()
}).

start_link() -> gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% A new configuration: `ok`, or in words why it is not taken.
-spec configure(map(), map()) -> ok | {error, binary()}.
configure(Old, New) ->
    case whereis(?MODULE) of
        %% EMQX also asks while the plugin is only loaded: the rest is checked when it starts.
        undefined ->
            case emqx_omp_settings:engine(New) of
                {ok, _} -> ok;
                {error, _} = Error -> Error
            end;
        _ ->
            gen_server:call(?MODULE, {configure, fun() -> {Old, New} end}, ?CONFIGURE_TIMEOUT + 5000)
    end.

-spec health() -> ok | {error, binary()}.
health() -> gen_server:call(?MODULE, health).

%% What became of the engine that EMQX starts itself: `{listening, Port, Secret}`, or `{trouble, Text}`.
engine(News) -> gen_server:cast(?MODULE, {spawned, News}).

init([]) ->
    process_flag(trap_exit, true),
    process_flag(sensitive, true),
    persistent_term:put({emqx_omp, connections}, application:get_env(emqx_offline_message_plugin, link_connections, 4)),
    read_settings(),
    %% If the tables were lost, they are filled again.
    emqx_omp_client:adopt_all(),
    {ok, use_engine(#state{})}.

handle_call(health, _, #state{trouble = Trouble, refused = Refused, unwell = Unwell} = State) ->
    case [Text || Text <- [Trouble, Refused, Unwell], Text =/= undefined] of
        [] -> {reply, ok, State};
        [Text | _] -> {reply, {error, Text}, State}
    end;
handle_call({configure, Configurations}, From, State) ->
    {Old, New} = Configurations(),
    Engine = emqx_omp_settings:engine(New),
    case {Engine =:= emqx_omp_settings:engine(Old), Engine} of
        {false, {error, Text}} ->
            {reply, {error, Text}, State};
        {false, {ok, _}} ->
            {reply, ok, use_engine(broken({changed, <<"its configuration has changed">>}, State#state{
                configuration = fun() -> New end
            }))};
        {true, _} ->
            reconfigure(New, From, State)
    end.

%% An engine that has refused the one before, and has sent no SETTINGS, can be asked as well.
reconfigure(_, _, #state{connections = Connections, welcomed = Welcomed, trouble = Trouble} = State) when
    map_size(Connections) =:= 0; map_size(Welcomed) < map_size(Connections)
->
    Text = <<"The engine cannot be reached, and only it can check the configuration: ", (text(Trouble))/binary>>,
    {reply, {error, Text}, State#state{configuration = fun emqx_omp_emqx:configuration/0}};
reconfigure(_, _, #state{asking = Asking} = State) when Asking =/= none ->
    {reply, {error, <<"The engine is still busy with the configuration before. Try again.">>}, State};
reconfigure(New, From, State) ->
    {noreply, ask(fun() -> New end, From, State)}.

handle_cast({spawned, {listening, Port, Secret}}, State) ->
    Peer = #{host => "127.0.0.1", port => Port, tls => false, secret => Secret, name => <<"The engine">>},
    {noreply, connect(State#state{peer = Peer})};
handle_cast({spawned, {trouble, Text}}, State) ->
    {noreply, (broken({engine, Text}, State))#state{peer = unknown}}.

handle_info({welcomed, Pid, Index}, #state{connections = Connections, welcomed = Welcomed} = State) ->
    case Connections of
        #{Index := Pid} ->
            Now = Welcomed#{Index => true},
            case map_size(Now) =:= map_size(Connections) of
                true -> {noreply, ask(State#state.configuration, none, State#state{welcomed = Now})};
                false -> {noreply, State#state{welcomed = Now}}
            end;
        _ ->
            {noreply, State}
    end;
handle_info({engine, Pid, Index, Frame, Bytes}, #state{connections = Connections} = State) ->
    case Connections of
        #{Index := Pid} when Index =:= 0; element(1, Frame) =:= goodbye -> {noreply, frame(Frame, Bytes, State)};
        %% Of a link before, or it comes again over connection 0.
        _ -> {noreply, State}
    end;
handle_info({'EXIT', Pid, Reason}, #state{connections = Connections} = State) ->
    case lists:member(Pid, maps:values(Connections)) of
        true -> {noreply, broken(cause(Reason), State)};
        %% One of a link before.
        false -> {noreply, State}
    end;
handle_info({timeout, Timer, retry}, #state{retry = Timer} = State) ->
    {noreply, connect(State)};
handle_info({timeout, Timer, configure}, #state{asking = {_, _, Timer, _}} = State) ->
    {noreply, broken({hung, <<"it has not answered a configuration in time">>}, State)};
handle_info(_, State) ->
    {noreply, State}.

terminate(_, State) ->
    end_connections(State),
    ok.

%% Nothing of the state and the messages.
format_status(Status) ->
    maps:map(fun(_, _) -> hidden end, Status).

%%% The engine, and the way to it

%% As the configuration says. Where EMQX starts it, it tells by engine/1 where it listens.
use_engine(#state{configuration = Configuration} = State) ->
    case emqx_omp_settings:engine(Configuration()) of
        {ok, #{mode := spawn, node := Node}} ->
            emqx_omp_engine:run(Node),
            State#state{peer = unknown};
        {ok, #{mode := connect} = Peer} ->
            emqx_omp_engine:run(none),
            [emqx_omp_log:log(warning, Text) || Text <- emqx_omp_settings:warnings(Peer)],
            connect(State#state{peer = Peer});
        {error, Text} ->
            emqx_omp_engine:run(none),
            told({error, Text}, State#state{peer = unknown, trouble = Text})
    end.

connect(#state{peer = unknown} = State) ->
    State;
connect(#state{peer = Peer, instance = Instance} = State0) ->
    State = end_connections(State0),
    Number = persistent_term:get({emqx_omp, connections}),
    {ok, Plugin} = application:get_key(emqx_offline_message_plugin, vsn),
    Options = Peer#{
        number => Number,
        instance => Instance,
        node => atom_to_binary(node()),
        emqx => emqx_omp_emqx:version(),
        plugin => list_to_binary(Plugin),
        link => self()
    },
    Start = fun(Index) ->
        {ok, Pid} = emqx_omp_connection:start_link(Options#{index => Index}),
        {Index, Pid}
    end,
    State#state{connections = maps:from_list(lists:map(Start, lists:seq(0, Number - 1))), retry = none}.

%% All of the link ends; what waits for an answer is told by the end of its connection.
end_connections(#state{connections = Connections, retry = Retry, asking = Asking} = State) ->
    [emqx_omp_connection:down(Index, Pid) || {Index, Pid} <- maps:to_list(Connections)],
    [end_connection(Pid) || Pid <- maps:values(Connections)],
    Retry =:= none orelse erlang:cancel_timer(Retry),
    case Asking of
        {_, From, Timer, _} ->
            _ = erlang:cancel_timer(Timer),
            Broke = <<"The link to the engine broke before it had checked the configuration">>,
            From =:= none orelse gen_server:reply(From, {error, Broke});
        none ->
            ok
    end,
    State#state{connections = #{}, welcomed = #{}, up_since = down, retry = none, asking = none}.

end_connection(Pid) ->
    Monitor = erlang:monitor(process, Pid),
    exit(Pid, shutdown),
    receive
        {'DOWN', Monitor, process, _, _} -> emqx_omp_publishes:ended(Pid)
    end.

%% Why a connection ended, by its kind.
cause({shutdown, {Kind, Text}}) -> {Kind, Text};
cause(_) -> {failed, <<"the connection failed">>}.

broken({Kind, Text}, #state{up_since = UpSince, delay = Delay0, peer = Peer, hung = Hung0} = State0) ->
    Hung =
        case Kind of
            hung -> Hung0 + 1;
            _ -> 0
        end,
    Hung >= ?MOST_HUNG andalso emqx_omp_engine:kill(),
    Delay =
        case UpSince =/= down andalso now_ms() - UpSince > ?LONG_UP of
            true -> first_delay();
            false -> Delay0
        end,
    State = end_connections(State0),
    Trouble = in_words(Kind, Text, Peer),
    told({level(Kind), Trouble}, State#state{
        trouble = Trouble,
        hung = Hung rem ?MOST_HUNG,
        delay = min(Delay * 2, application:get_env(emqx_offline_message_plugin, longest_retry_delay, ?LONGEST_DELAY)),
        retry = erlang:start_timer(round(Delay * (0.8 + rand:uniform() * 0.4)), self(), retry)
    }).

level(goodbye) -> notice;
level(changed) -> notice;
level(_) -> error.

in_words(unreachable, <<"it cannot be reached", Text/binary>>, #{name := Name}) ->
    <<Name/binary, " cannot be reached", Text/binary>>;
in_words(secret, _, #{name := Name}) ->
    <<Name/binary, " has another secret">>;
in_words(protocol, Text, #{name := Name}) ->
    <<"The link to ", (lower(Name))/binary, " is closed, it does not keep to the protocol: ", Text/binary>>;
in_words(engine, Text, _) ->
    Text;
in_words(_, Text, #{name := Name}) ->
    <<"The link to ", (lower(Name))/binary, " is closed: ", Text/binary>>;
in_words(_, Text, unknown) ->
    <<"The link to the engine is closed: ", Text/binary>>.

lower(<<"The", Rest/binary>>) -> <<"the", Rest/binary>>.

%% A line in the log, once until it is another.
told({_, Text}, #state{logged = Text} = State) ->
    State;
told({Level, Text}, State) ->
    emqx_omp_log:log(Level, Text),
    State#state{logged = Text}.

text(undefined) -> <<"it is not up">>;
text(Text) -> Text.

now_ms() -> erlang:monotonic_time(millisecond).

first_delay() -> application:get_env(emqx_offline_message_plugin, retry_delay, 500).

%%% What the engine says

ask(Configuration, From, #state{request = Request, connections = #{0 := Pid}} = State) ->
    Json = emqx_omp_emqx:json(maps:remove(<<"engine">>, Configuration())),
    emqx_omp_connection:give(Pid, {configure, Request, Json}),
    Timer = erlang:start_timer(?CONFIGURE_TIMEOUT, self(), configure),
    State#state{request = Request + 1, asking = {Request, From, Timer, Configuration}}.

frame({configured, Request, true, _}, _, #state{asking = {Request, From, Timer, Configuration}} = State) ->
    _ = erlang:cancel_timer(Timer),
    From =:= none orelse gen_server:reply(From, ok),
    State#state{asking = none, refused = undefined, configuration = Configuration};
frame({configured, Request, false, Text}, _, #state{asking = {Request, From, Timer, _}} = State) ->
    _ = erlang:cancel_timer(Timer),
    Refused = <<"The engine does not take the configuration: ", Text/binary>>,
    From =:= none orelse gen_server:reply(From, {error, Text}),
    %% The link is well, even if there are no SETTINGS.
    Answered = State#state{asking = none, trouble = undefined},
    %% EMQX 6 says so to whoever gave it the configuration, and keeps the one before; earlier ones do neither.
    case From =/= none andalso emqx_omp_emqx:is_six() of
        true ->
            Answered;
        false ->
            emqx_omp_log:log(error, Refused),
            Answered#state{refused = Refused, configuration = fun emqx_omp_emqx:configuration/0}
    end;
frame({settings, Settings}, Bytes, State) ->
    emqx_omp_hooks:set_settings(Settings),
    write_settings(Bytes),
    up(State);
frame({health, IsWell, Text}, _, State) ->
    Unwell =
        case IsWell of
            true -> undefined;
            false -> Text
        end,
    State#state{unwell = Unwell};
frame({goodbye, Text}, _, State) ->
    broken({goodbye, <<"it ends: ", Text/binary>>}, State);
frame(_, _, State) ->
    broken({protocol, <<"CONFIGURED: a request that was not made">>}, State).

up(#state{up_since = down, connections = Connections} = State) ->
    [emqx_omp_connection:up(Pid) || Pid <- maps:values(Connections)],
    told({notice, <<"The link to the engine is up">>}, State#state{up_since = now_ms(), hung = 0, trouble = undefined});
up(State) ->
    State.

%%% Last known settings

read_settings() ->
    case file:read_file(settings_file()) of
        {ok, Bytes} ->
            case emqx_omp_frames:decode(Bytes) of
                {ok, {settings, Settings}} -> emqx_omp_hooks:set_settings(Settings);
                _ -> emqx_omp_log:log(warning, "settings.bin is damaged: it is as if there were none")
            end;
        {error, _} ->
            ok
    end.

write_settings(Bytes) ->
    File = settings_file(),
    case file:write_file(File ++ ".new", Bytes) of
        ok -> _ = file:rename(File ++ ".new", File);
        {error, Reason} -> emqx_omp_log:log(warning, ["settings.bin cannot be written: ", file:format_error(Reason)])
    end.

settings_file() -> filename:join(emqx_omp_emqx:data_directory(), ?SETTINGS_FILE).
